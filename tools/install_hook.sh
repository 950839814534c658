#!/bin/sh
# Installs tools/pre-commit, unless there is another hook already.
set -eu
cd "$(dirname "$0")/.."

hooks=$(git rev-parse --git-path hooks 2>/dev/null) || exit 0
hook=$hooks/pre-commit
if [ -e "$hook" ] && ! cmp -s "$hook" tools/pre-commit && ! grep -q 'tools/install_hook.sh' "$hook"; then
    echo "setup: $hook exists and isn't ours; left alone"
    exit 0
fi
mkdir -p "$hooks"
cp tools/pre-commit "$hook"
chmod +x "$hook"
echo "setup: pre-commit hook installed"
