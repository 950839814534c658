/* How a command ends: part of the interface (docs/man/tidemark.1). Mostly as in sysexits. */
#pragma once

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_REFUSED = 65, /* some of the input, or the statement, was refused */
    EXIT_CODE_NO_INPUT = 66,
    EXIT_CODE_UNREACHABLE = 69, /* no server there; or the port is taken */
    EXIT_CODE_POISON = 70,
    EXIT_CODE_NO_MEMORY = 71,
    EXIT_CODE_IN_USE = 73,
    EXIT_CODE_IO = 74,
    EXIT_CODE_DAMAGED = 75,
    EXIT_CODE_CONFIGURATION = 78,
};
