"""Run a command in a kernel that refuses a call: refusing.py CALL ERROR COMMAND. It needs no rights (seccomp).

The error OK lets the call claim that it has done its work.
"""

import ctypes
import errno
import os
import struct
import sys

CALLS = {
    "x86_64": {"futex": 202, "get_robust_list": 274, "fallocate": 285, "madvise": 28},
    "aarch64": {"futex": 98, "get_robust_list": 100, "fallocate": 47, "madvise": 233},
    "riscv64": {"futex": 98, "get_robust_list": 100, "fallocate": 47, "madvise": 233},
    "ppc64le": {"futex": 221, "get_robust_list": 299, "fallocate": 309, "madvise": 205},
    "s390x": {"futex": 238, "get_robust_list": 305, "fallocate": 314, "madvise": 219},
}
# Only this call of futex, with which the library wakes: the locks of Python itself use others.
ONLY_WITH = {"futex": 1, "madvise": 18}  # the second argument is FUTEX_WAKE, the third one is MADV_WIPEONFORK
ARGUMENT = {"futex": 1, "madvise": 2}

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # the instructions of linux/bpf_common.h that are needed
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def program(call: str, error: int) -> list[tuple[int, int, int, int]]:
    """The filter: instruction, where to go if equal, where if not, operand."""
    number = CALLS[os.uname().machine][call]
    lines = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, number)]  # struct seccomp_data begins with the number of the call
    if call in ONLY_WITH:
        lower_half = 16 + 8 * ARGUMENT[call] + 4 * (sys.byteorder == "big")
        lines = [lines[0], (JUMP_IF_EQUAL, 0, 3, number)]
        lines += [(LOAD, 0, 0, lower_half), (JUMP_IF_EQUAL, 0, 1, ONLY_WITH[call])]
    return [*lines, (RETURN, 0, 0, REFUSE | error), (RETURN, 0, 0, ALLOW)]


def main() -> None:
    lines = program(sys.argv[1], getattr(errno, sys.argv[2], 0))
    code = ctypes.create_string_buffer(b"".join(struct.pack("@HBBI", *line) for line in lines))
    prog = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True)["prctl"]
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    for arguments in (PR_SET_NO_NEW_PRIVS, 1, None, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prog, 0, 0):
        if prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(sys.argv[3], sys.argv[3:])


main()
