from enum import IntEnum
from multiprocessing import Process

from multiprocessing_intenum import IntEnumValue, compare_and_set, wait_for


class Status(IntEnum):
    IDLE = 1
    CALCULATING = 2


if __name__ == "__main__":
    status = IntEnumValue(Status.IDLE)  # before the processes that share it
    child = Process(target=compare_and_set, args=(status, "IDLE", "CALCULATING"))
    child.start()
    print("the child has set it to", wait_for(status, "CALCULATING").name)
    child.join()
