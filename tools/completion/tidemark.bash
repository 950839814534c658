# Completion for bash: commands, options, files. Everything comes from `tidemark --help` and
# `tidemark help COMMAND`, so it is always that of the installed program.
# Use: source tools/completion/tidemark.bash

_tidemark() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]:-} program=${COMP_WORDS[0]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ] || { [ "$command" = help ] && [ "$COMP_CWORD" -eq 2 ]; }; then
        local commands
        commands=$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
        return
    fi
    case ${COMP_WORDS[COMP_CWORD-1]} in
    --clock) mapfile -t COMPREPLY < <(compgen -W "processing event" -- "$word") && return ;;
    --on-exists) mapfile -t COMPREPLY < <(compgen -W "reject return replace" -- "$word") && return ;;
    --state)
        mapfile -t COMPREPLY < <(compgen -W "pending unknown fired completed cancelled completed_early retracted" -- "$word") &&
            return
        ;;
    esac
    case $word in
    --*)
        local options
        options=$("$program" help "$command" 2>/dev/null | sed -n 's/^  \(--[a-z-]*\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
        return
        ;;
    esac
    if [ "$COMP_CWORD" -eq 2 ]; then
        case $command in
        log) mapfile -t COMPREPLY < <(compgen -W "verify dump salvage" -- "$word") && return ;;
        timeouts) mapfile -t COMPREPLY < <(compgen -W "list count due show create complete cancel heartbeat" -- "$word") && return ;;
        tail) mapfile -t COMPREPLY < <(compgen -W "notifications" -- "$word") && return ;;
        bench) mapfile -t COMPREPLY < <(compgen -W "gen j1 open-loop singles groups overload timeouts" -- "$word") && return ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -o bashdefault -F _tidemark tidemark
