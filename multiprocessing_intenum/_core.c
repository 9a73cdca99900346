/* The optional C core: the plain case of the most frequent reads, of a write, and of a wait.

   Whatever is not the plain case goes on in Python, which stays whole: it is what runs where there is no C core, and
   what to read to understand the library. Each function below does what these lines of Python do:

       Reads ==, != and so on     masquerade/hot.py, __eq__ and __ne__ of hot_reads_of
       Reads hash, name, value    masquerade/hot.py, __hash__, name, value
       Reads.set                  mutator.py, set_member
       snapshot                   value.py, snapshot
       Attribute                  attribute.py, EnumAttribute.__get__, __set__ and __delete__
       write_in_memory            locks/robust.py, write in RobustRLock._guard
       write_by_path              by_path/file_lock.py, write in FileLock._guard; by_path/described.py, Described.check
       store, wake                memory/words.py, store in Words.writer; memory/sleepers.py, Sleepers.wake
       Core.wait                  waiting.py, Sleeper.until with Look.__call__; memory/sleepers.py, announce and sleep

   No Python code runs while a write has the lock, so neither an interrupt nor a signal handler can come between
   its steps. A process can be killed between any two of them: the order of the stores is that of memory/words.py.

   A process imports the C core once, so its types can be variables of C, which a read needs: a slot of a type cannot find
   the state of its module. Another interpreter gets an ImportError, and uses Python. So does a package that is imported
   anew. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#if defined(__linux__) && defined(__LP64__) && defined(__GNUC__)
#define HAS_WRITE 1 /* robust mutexes and futexes: everywhere else Python writes and waits */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

/* A store before it is seen by others before a load after it is done. */
#define FULL_FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#if defined(__x86_64__)
#define FENCE_AFTER_UNLOCK() /* x86 unlocks with an instruction that is a fence */
#else
#define FENCE_AFTER_UNLOCK() FULL_FENCE()
#endif

#if defined(__GNUC__) && UINTPTR_MAX > 0xFFFFFFFF
#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, number) __atomic_store_n(&(word), (number), __ATOMIC_RELEASE)
#else
#define LOAD(word) (word) /* one load, of the state or of a hash: see HAS_WRITE for all else */
#define STORE(word, number) ((word) = (number))
#endif

/* ---- The table of an enum: its members by number, and by their addresses. It never changes, but for a hash
   that is noted. A member that the enum
   makes later is not in it: Python finds that one. ---- */

typedef struct {
    int64_t number;
    PyObject *member, *name, *value;
    Py_hash_t hash; /* -1, which is no hash, until it is asked for */
} Row;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count; /* of the rows */
    uint64_t mask;
    Row *rows;
    int32_t *numbers, *members; /* hash tables: the index of a row, or -1 */
    int equals_itself; /* whether `member == member` is true for each; it is not for a float that is NaN */
} Table;

static uint64_t place_of(uint64_t key) { return (key * 0x9E3779B97F4A7C15u) >> 32; }

static Row *row_of_number(const Table *table, int64_t number)
{
    for (uint64_t place = place_of((uint64_t)number);; place++) {
        int32_t found = table->numbers[place & table->mask];
        if (found < 0 || table->rows[found].number == number)
            return found < 0 ? NULL : &table->rows[found];
    }
}

static Row *row_of_member(const Table *table, PyObject *member)
{
    for (uint64_t place = place_of((uint64_t)(uintptr_t)member >> 4);; place++) {
        int32_t found = table->members[place & table->mask];
        if (found < 0 || table->rows[found].member == member)
            return found < 0 ? NULL : &table->rows[found];
    }
}

static void enter(int32_t *index, uint64_t mask, uint64_t place, Py_ssize_t row)
{
    while (index[place & mask] >= 0)
        place++;
    index[place & mask] = (int32_t)row;
}

/* Table([(number, member, name, value), ...], equals_itself) */
static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *rows;
    int equals_itself;
    if (!PyArg_ParseTuple(args, "O!p:Table", &PyList_Type, &rows, &equals_itself))
        return NULL;
    Table *self = (Table *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_ssize_t count = PyList_Size(rows), places = 4;
    while (places < 2 * count)
        places *= 2;
    self->rows = PyMem_Calloc(count ? count : 1, sizeof(Row));
    self->numbers = PyMem_Calloc(2 * places, sizeof(int32_t));
    if (self->rows == NULL || self->numbers == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->members = self->numbers + places;
    self->mask = places - 1;
    self->equals_itself = equals_itself;
    for (Py_ssize_t each = 0; each < 2 * places; each++)
        self->numbers[each] = -1;
    for (Py_ssize_t each = 0; each < count; each++) {
        Row *row = &self->rows[each];
        long long number;
        PyObject *given = PyList_GetItem(rows, each); /* borrowed, from a list that the caller has just made */
        if (given == NULL || !PyTuple_Check(given)) {
            Py_DECREF(self);
            PyErr_SetString(PyExc_TypeError, "a row must be a tuple");
            return NULL;
        }
        if (!PyArg_ParseTuple(given, "LOOO", &number, &row->member, &row->name, &row->value)) {
            row->member = row->name = row->value = NULL;
            Py_DECREF(self);
            return NULL;
        }
        row->number = number;
        row->hash = -1;
        Py_INCREF(row->member);
        Py_INCREF(row->name);
        Py_INCREF(row->value);
        self->count = each + 1;
        enter(self->numbers, self->mask, place_of((uint64_t)number), each);
        enter(self->members, self->mask, place_of((uint64_t)(uintptr_t)row->member >> 4), each);
    }
    return (PyObject *)self;
}

static int table_traverse(PyObject *object, visitproc visit, void *arg)
{
    Table *self = (Table *)object;
    Py_VISIT(Py_TYPE(object));
    for (Py_ssize_t each = 0; each < self->count; each++) {
        Py_VISIT(self->rows[each].member);
        Py_VISIT(self->rows[each].name);
        Py_VISIT(self->rows[each].value);
    }
    return 0;
}

static void table_dealloc(PyObject *object)
{
    Table *self = (Table *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    for (Py_ssize_t each = 0; each < self->count; each++) {
        Py_DECREF(self->rows[each].member);
        Py_DECREF(self->rows[each].name);
        Py_DECREF(self->rows[each].value);
    }
    PyMem_Free(self->rows);
    PyMem_Free(self->numbers);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

/* ---- What C finds in the slots of a Python class ---- */

typedef struct {
    PyTypeObject *type;
    PyMemberDef *slot;
} Place;

static Place in_value, in_entry, entry_status, attribute_name; /* set by use() and use_attribute() */
static Place lock_idle, lock_named_at, lock_look_at, file_fd, file_mark, described_read; /* set by use_files() */

static Py_ssize_t dict_at; /* where wrapt has the dict of a proxy */

static int find_place(Place *place, PyObject *type, const char *name)
{
    PyMemberDef *slot = PyType_Check(type) ? PyType_GetSlot((PyTypeObject *)type, Py_tp_members) : NULL;
    for (; slot != NULL && slot->name != NULL; slot++)
        if (strcmp(slot->name, name) == 0 && slot->type == T_OBJECT_EX) {
            Py_INCREF(type); /* for ever, as it is used for ever */
            place->slot = slot;
            place->type = (PyTypeObject *)type;
            return 0;
        }
    PyErr_Format(PyExc_TypeError, "%R has no slot %s", type, name);
    return -1;
}

static int is_at(const Place *place, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return place->type != NULL && (type == place->type || PyType_IsSubtype(type, place->type));
}

/* Return what is in the slot; NULL without an error if there is nothing. Call DROP with the result in the end. The
   object must be of the class. */
static PyObject *at(const Place *place, PyObject *object)
{
#ifdef Py_GIL_DISABLED /* another thread may replace it meanwhile: __init__ can be called again */
    PyObject *found = PyMember_GetOne((const char *)object, place->slot);
    if (found == NULL)
        PyErr_Clear();
    return found;
#define DROP(found) Py_XDECREF(found)
#else /* with the GIL it stays until other code of Python runs: code that lets it run takes a reference */
    return *(PyObject **)((char *)object + place->slot->offset);
#define DROP(found) (void)(found)
#endif
}

/* ---- The core of a cell. It never changes, so a thread without the GIL may use it, and a garbage collector need not
   clear it: like a tuple. ---- */

typedef struct { /* the layout in memory/words.py */
    int64_t state;
    uint64_t count;
    uint32_t ticket, of_mirror;
    int64_t settled;
    uint64_t base, of_mirrors[3];
    struct {
        int64_t after;
        double at;
        uint64_t number;
        uint32_t pid, unused;
    } ring[32];
    uint64_t claimed, claims[10];
    uint8_t flags[32];
} Words;

#define LARGEST_COUNT ((uint64_t)1 << 62)
#define WRITING (((int64_t)1 << 62) + 2) /* the byte of the file that a writer locks: see locks/open_file.py */

typedef struct {
    PyObject_HEAD
    Table *table;
    PyObject *exact_type, *lock, *keep;
    int64_t *state;
    Words *words; /* NULL: Python writes and waits */
    void *mutex; /* NULL: it has another lock, or Python writes */
    uint64_t *here;
    PyObject *allowed_bytes, *described;
    const char *allowed; /* for each pair of rows, whether the second state may follow the first one; NULL: it may */
    uint64_t *place; /* of a value by path, where its description is; NULL: in memory, or Python writes */
} Core;

static PyTypeObject *core_type, *table_type, *reads_type;

/* Core(table, exact_type, lock, keep, allowed, described, state, words, mutex, here, place): the last five are addresses;
   `keep` is what keeps the memory there. An address of 0 means that Python does what it is needed for. */
static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *table, *exact_type, *lock, *keep, *allowed, *described;
    unsigned long long state, words, mutex, here, place;
    if (!PyArg_ParseTuple(args, "O!OOOOOKKKKK:Core", table_type, &table, &exact_type, &lock, &keep, &allowed, &described,
                          &state, &words, &mutex, &here, &place))
        return NULL;
    Py_ssize_t count = ((Table *)table)->count;
    int is_restricted = allowed != Py_None;
    if (is_restricted && !(PyBytes_Check(allowed) && PyBytes_Size(allowed) == count * count)) {
        PyErr_SetString(PyExc_TypeError, "allowed must be None or the bytes of all pairs");
        return NULL;
    }
    Core *self = (Core *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->table = (Table *)table;
    self->exact_type = exact_type;
    self->keep = keep;
    self->lock = lock;
    self->allowed_bytes = allowed;
    self->described = described;
    PyObject *kept[] = {table, exact_type, keep, lock, allowed, described};
    for (size_t each = 0; each < sizeof kept / sizeof *kept; each++)
        Py_INCREF(kept[each]);
    self->state = (int64_t *)(uintptr_t)state;
    self->allowed = is_restricted ? PyBytes_AsString(allowed) : NULL;
    if (here) {
        self->here = (uint64_t *)(uintptr_t)here;
        self->words = (Words *)(uintptr_t)words;
        self->mutex = words ? (void *)(uintptr_t)mutex : NULL;
        if (words && is_at(&lock_idle, lock) && is_at(&described_read, described))
            self->place = (uint64_t *)(uintptr_t)place;
    }
    return (PyObject *)self;
}

static int core_traverse(PyObject *object, visitproc visit, void *arg)
{
    Core *self = (Core *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->table);
    Py_VISIT(self->exact_type);
    Py_VISIT(self->keep);
    Py_VISIT(self->lock);
    Py_VISIT(self->allowed_bytes);
    Py_VISIT(self->described);
    return 0;
}

static void core_dealloc(PyObject *object)
{
    Core *self = (Core *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(self->table);
    Py_XDECREF(self->exact_type);
    Py_XDECREF(self->keep);
    Py_XDECREF(self->lock);
    Py_XDECREF(self->allowed_bytes);
    Py_XDECREF(self->described);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static Core *core_at(const Place *place, PyObject *object)
{
    PyObject *found = at(place, object);
    if (found == NULL || Py_TYPE(found) == core_type)
        return (Core *)found;
    DROP(found);
    return NULL;
}

static Row *present(const Core *core)
{
    return core->state == NULL ? NULL : row_of_number(core->table, LOAD(*core->state));
}

/* Return the core of a shared value. Each object of a subclass of Reads is one: see reads_init_subclass. That saves the
   check, 4 of the 24 ns of `status == member`. */
static Core *core_of(PyObject *self) { return core_at(&in_value, self); }

/* Return `self._self_cell.load()`, or what has the attribute `name` there. */
static PyObject *loaded(PyObject *self, const char *name)
{
    PyObject *cell = PyObject_GetAttrString(self, "_self_cell");
    PyObject *member = cell == NULL ? NULL : PyObject_CallMethod(cell, "load", NULL);
    Py_XDECREF(cell);
    if (member == NULL || name == NULL)
        return member;
    PyObject *found = PyObject_GetAttrString(member, name);
    Py_DECREF(member);
    return found;
}

#define FIELD(field, name)                                                                                             \
    Core *core = core_of(self);                                                                                        \
    const Row *row = core == NULL ? NULL : present(core);                                                              \
    PyObject *found = row == NULL ? NULL : row->field;                                                                 \
    Py_XINCREF(found);                                                                                                 \
    DROP(core);                                                                                                        \
    return found != NULL ? found : loaded(self, name);

static PyObject *member_of(PyObject *self) { FIELD(member, NULL) }

static PyObject *reads_name(PyObject *self, void *Py_UNUSED(closure)) { FIELD(name, "name") }

static PyObject *reads_value(PyObject *self, void *Py_UNUSED(closure)) { FIELD(value, "value") }

static int reads_set_value(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "can not delete 'value'");
        return -1;
    }
    PyObject *done = PyObject_CallMethod(self, "set", "(O)", value) /* a tuple is one value, too */;
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *reads_compare(PyObject *self, PyObject *other, int operation)
{
    Core *core = core_of(self);
    Row *row = core == NULL ? NULL : present(core);
    PyObject *member = row == NULL ? NULL : row->member;
    int is_same = member == other && core->table->equals_itself && (operation == Py_EQ || operation == Py_NE);
    Py_XINCREF(member);
    DROP(core);
    if (member == NULL && (member = loaded(self, NULL)) == NULL)
        return NULL;
    if (is_same) { /* it saves 6 ns */
        Py_DECREF(member);
        return PyBool_FromLong(operation == Py_EQ);
    }
    /* == and != need not look what `other` is: see hot.py. The text of an error about < names the two members. */
    if (operation != Py_EQ && operation != Py_NE && is_at(&in_value, other))
        other = member_of(other);
    else
        Py_INCREF(other);
    PyObject *result = other == NULL ? NULL : PyObject_RichCompare(member, other, operation);
    Py_DECREF(member);
    Py_XDECREF(other);
    return result;
}

static Py_hash_t reads_hash(PyObject *self)
{
    Core *core = core_of(self);
    Row *row = core == NULL ? NULL : present(core);
    Py_hash_t hash = row == NULL ? -1 : LOAD(row->hash);
    if (row != NULL && hash == -1) {
        Py_INCREF(core);
        hash = PyObject_Hash(row->member);
        STORE(row->hash, hash);
        Py_DECREF(core);
    }
    DROP(core);
    if (row != NULL)
        return hash;
    PyObject *member = loaded(self, NULL);
    hash = member == NULL ? -1 : PyObject_Hash(member);
    Py_XDECREF(member);
    return hash;
}

/* Reads.__init_subclass__: it keeps every class away that has not the slot of `in_value`. */
static PyObject *reads_init_subclass(PyObject *cls, PyObject *args, PyObject *keywords)
{
    if (in_value.type != NULL && !PyType_IsSubtype((PyTypeObject *)cls, in_value.type)) {
        PyErr_SetString(PyExc_TypeError, "only the library itself can derive from Reads");
        return NULL;
    }
    PyObject *next = PyObject_CallFunction((PyObject *)&PySuper_Type, "OO", reads_type, cls), *result = NULL;
    PyObject *method = next == NULL ? NULL : PyObject_GetAttrString(next, "__init_subclass__");
    if (method != NULL)
        result = PyObject_Call(method, args, keywords);
    Py_XDECREF(next);
    Py_XDECREF(method);
    return result;
}

/* ---- Writing ---- */

static PyObject *slow_set, *fast_set, *slow_snapshot; /* set_member and snapshot of Python; Reads.set */

#ifdef HAS_WRITE

static uint32_t process; /* its id: words.py keeps it up to date */

static long futex(Words *words, int operation, uint32_t number, const struct timespec *until, uint32_t bits)
{
    return syscall(SYS_futex, &words->ticket, operation, number, until, NULL, bits);
}

#define WAIT_BITSET 9
#define WAKE_BITSET 10

static int64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What a write has come to. */
typedef enum { FAILED = -1, NOT_PLAIN = 0, NO_CHANGE, CHANGED } Outcome;

/* Store a state, with the lock held. */
static Outcome store(const Core *core, const Row *row)
{
    Words *words = core->words;
    int64_t before = words->state, after = row->number;
    if (words->claimed || words->settled != before || words->count >= LARGEST_COUNT)
        return NOT_PLAIN;
    if (before == after)
        return NO_CHANGE;
    if (core->allowed != NULL) {
        const Row *from = row_of_number(core->table, before);
        if (from == NULL || !core->allowed[(from - core->table->rows) * core->table->count + (row - core->table->rows)])
            return NOT_PLAIN; /* the error is Python's */
    }
    uint64_t number = words->count + 1;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    words->ring[number % 32].after = after;
    words->ring[number % 32].at = (double)((int64_t)now.tv_sec * 1000000000 + now.tv_nsec) / 1e9;
    words->ring[number % 32].number = number;
    words->ring[number % 32].pid = process;
    words->ring[number % 32].unused = 0;
    STORE(words->state, after); /* each after all that comes before it */
    STORE(words->count, number);
    STORE(words->settled, after);
    return CHANGED;
}

static void wake(Words *words, int64_t after)
{
    unsigned bit = (uint64_t)after % 32;
    FENCE_AFTER_UNLOCK(); /* a waiter stores its flag, and then loads the state */
    if (LOAD(words->flags[bit])) {
        STORE(words->flags[bit], 0);
        STORE(words->ticket, 0);
        if (futex(words, WAKE_BITSET, INT_MAX, NULL, 1u << bit) < 0)
            STORE(words->flags[bit], 1);
    }
}

static Outcome write_in_memory(Core *core, const Row *row)
{
    /* If this thread has the lock already, or has begun to take it and runs a signal handler, the mutex is busy. */
    int error = pthread_mutex_trylock(core->mutex);
    if (error == EOWNERDEAD) { /* what the dead holder has left is not plain: Python repairs it */
        error = pthread_mutex_consistent(core->mutex);
        if (PyObject_SetAttrString(core->lock, "_owner", Py_None)) /* it may have been a thread of this process */
            PyErr_Clear();
    }
    if (error == ENOTRECOVERABLE) { /* glibc leaves it locked, so a second trylock would say that it is busy */
        PyObject *text = PyObject_CallFunction(PyExc_OSError, "is", error, "ENOTRECOVERABLE: State not recoverable");
        if (text != NULL)
            PyErr_SetObject(PyExc_OSError, text);
        Py_XDECREF(text);
        return FAILED;
    }
    if (error)
        return NOT_PLAIN;
    Outcome outcome = store(core, row);
    pthread_mutex_unlock(core->mutex);
    return outcome;
}

#ifndef Py_GIL_DISABLED /* no other thread of this process takes or closes the opening meanwhile */

/* Return the number in a slot; -1 if there is none. */
static int64_t number_at(const Place *place, PyObject *object)
{
    PyObject *found = is_at(place, object) ? at(place, object) : NULL;
    int64_t number = found == NULL ? -1 : PyLong_AsLongLong(found);
    if (number == -1 && PyErr_Occurred())
        PyErr_Clear();
    return number;
}

static int lock_byte(int fd, short kind)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = WRITING, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock);
}

static Outcome write_by_path(Core *core, const Row *row)
{
    PyObject *read = at(&described_read, core->described);
    PyObject *idle = at(&lock_idle, core->lock);
    if (read == NULL || !PyTuple_Check(read) || idle == NULL || !PyList_Check(idle) || PyList_Size(idle) == 0)
        return NOT_PLAIN;
    PyObject *place = PyTuple_GetItem(read, 0), *transitions = PyTuple_GetItem(read, 1);
    PyObject *file = PyList_GetItem(idle, PyList_Size(idle) - 1);
    uint64_t described = transitions == Py_None ? PyLong_AsUnsignedLongLong(place) : 0;
    if (transitions != Py_None || PyErr_Occurred()) {
        PyErr_Clear(); /* -1 stands for a description that was never read */
        return NOT_PLAIN;
    }
    int fd = (int)number_at(&file_fd, file);
    int64_t mark = number_at(&file_mark, file), named_at = number_at(&lock_named_at, core->lock);
    int64_t look_at = number_at(&lock_look_at, core->lock);
    struct stat info;
    if (fd < 0 || lseek(fd, 0, SEEK_CUR) != mark || lock_byte(fd, F_WRLCK))
        return NOT_PLAIN;
    Outcome outcome = NOT_PLAIN;
    if (LOAD(*core->place) == described && fstat(fd, &info) == 0 && info.st_nlink &&
        (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec == named_at && monotonic() < look_at)
        outcome = store(core, row);
    lock_byte(fd, F_UNLCK);
    return outcome;
}
#endif

/* Return 1 if the member is stored, 0 if this is not the plain case and nothing was done, -1 after an error. */
static int write_plain(Core *core, PyObject *value)
{
    if ((PyObject *)Py_TYPE(value) != core->exact_type || core->words == NULL || !LOAD(*core->here))
        return 0;
    const Row *row = row_of_member(core->table, value);
    if (row == NULL || LOAD(core->words->claimed))
        return 0;
    Outcome outcome = NOT_PLAIN;
    if (core->mutex != NULL)
        outcome = write_in_memory(core, row);
#ifndef Py_GIL_DISABLED
    else if (core->place != NULL)
        outcome = write_by_path(core, row);
#endif
    if (outcome == CHANGED)
        wake(core->words, row->number);
    return outcome == FAILED ? -1 : outcome != NOT_PLAIN;
}

#define SLICE 900000000 /* ns after which a sleeper looks by itself: see SLICE in waiting.py */

/* The states that somebody waits for. */
typedef struct {
    const char *numbers; /* 64 bits each, perhaps not aligned */
    Py_ssize_t size;
} Wanted;

static int is_wanted(const Wanted *wanted, int64_t state)
{
    for (Py_ssize_t each = 0; each < wanted->size; each += 8) {
        int64_t number;
        memcpy(&number, wanted->numbers + each, 8);
        if (number == state)
            return 1;
    }
    return 0;
}

/* Whether a wanted state may have come and gone since this count, which becomes the present one. Python looks better. */
static int came_and_went(Words *words, const Wanted *wanted, uint64_t *count)
{
    uint64_t now = LOAD(words->count), number = now - *count > 32 ? now - 32 : *count;
    if (now < *count)
        return 1;
    while (number != now) {
        number++;
        if (is_wanted(wanted, LOAD(words->ring[number % 32].after)))
            return 1;
    }
    *count = now;
    return 0;
}

/* wait(numbers, once, count, seconds): sleep until the state is one of the numbers, 64 bits each, and return its member;
   or None if Python has to look: one of them may have come since the count, the state has an owner, the time is over, or
   it has slept once. */
static PyObject *core_wait(PyObject *self, PyObject *args)
{
    Core *core = (Core *)self;
    Wanted wanted;
    int once;
    unsigned long long given;
    double seconds;
    if (!PyArg_ParseTuple(args, "y#pKd:wait", &wanted.numbers, &wanted.size, &once, &given, &seconds))
        return NULL;
    wanted.size -= wanted.size % 8;
    Words *words = core->words;
    if (words == NULL)
        Py_RETURN_NONE;
    uint32_t bits = 0;
    for (Py_ssize_t each = 0; each < wanted.size; each += 8) {
        int64_t number;
        memcpy(&number, wanted.numbers + each, 8);
        bits |= 1u << (uint64_t)number % 32;
    }
    int64_t until = 0, found = 0; /* 0: only look, also if the time is no number */
    if (seconds > 0)
        until = seconds < 1e9 ? monotonic() + (int64_t)(seconds * 1e9) : INT64_MAX;
    uint64_t count = given;
    int is_found = 0, is_over = 0, error = 0;
    PyThreadState *thread = PyEval_SaveThread();
    for (int sleeps = 0;; sleeps++) {
        uint32_t ticket = (uint32_t)(2 * LOAD(words->count) + 1);
        for (int is_announced = 0;; is_announced = 1) { /* it looks before and after */
            found = LOAD(words->state);
            is_found = is_wanted(&wanted, found);
            is_over = is_found || came_and_went(words, &wanted, &count);
            if (is_over || is_announced)
                break;
            STORE(words->ticket, ticket); /* before the flags: see Sleepers.announce */
            for (int bit = 0; bit < 32; bit++)
                if (bits & 1u << bit)
                    STORE(words->flags[bit], 1);
            FULL_FENCE();
        }
        int64_t now = monotonic();
        if (is_over || until <= now || LOAD(words->claimed) || (once && sleeps))
            break;
        int64_t end = until - now < SLICE ? until : now + SLICE;
        struct timespec limit = {end / 1000000000, end % 1000000000};
        error = futex(words, WAIT_BITSET, ticket, &limit, bits) == 0 ? 0 : errno;
        if (error == EINTR || error == ETIMEDOUT) { /* a signal may also have come just before the sleep */
            PyEval_RestoreThread(thread);
            if (PyErr_CheckSignals())
                return NULL;
            thread = PyEval_SaveThread();
        } else if (error && error != EAGAIN)
            break;
        error = 0;
    }
    PyEval_RestoreThread(thread);
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    const Row *row = is_found ? row_of_number(core->table, found) : NULL;
    PyObject *member = row == NULL ? Py_None : row->member;
    Py_INCREF(member);
    return member;
}

static PyObject *be_process(PyObject *Py_UNUSED(module), PyObject *pid)
{
    unsigned long number = PyLong_AsUnsignedLong(pid);
    if (number == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    process = (uint32_t)number;
    Py_RETURN_NONE;
}

#else

static int write_plain(Core *core, PyObject *value)
{
    (void)core, (void)value;
    return 0;
}

static PyObject *core_wait(PyObject *self, PyObject *args)
{
    (void)self, (void)args;
    Py_RETURN_NONE;
}

static PyObject *be_process(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(pid)) { Py_RETURN_NONE; }

#endif

static PyObject *reads_set(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);
    if (count == 1 && named == 0) {
        Core *core = core_of(self);
        int done = core == NULL ? 0 : write_plain(core, args[0]);
        DROP(core);
        if (done == 0)
            return PyObject_CallFunctionObjArgs(slow_set, self, args[0], NULL);
        if (done < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    PyObject *result = NULL, *given = PyTuple_New(count + 1), *keywords = PyDict_New();
    if (given != NULL && keywords != NULL) {
        for (Py_ssize_t each = -1; each < count; each++) {
            PyObject *argument = each < 0 ? self : args[each];
            Py_INCREF(argument);
            PyTuple_SetItem(given, each + 1, argument);
        }
        Py_ssize_t each = 0;
        while (each < named && PyDict_SetItem(keywords, PyTuple_GetItem(names, each), args[count + each]) == 0)
            each++;
        if (each == named)
            result = PyObject_Call(slow_set, given, keywords);
    }
    Py_XDECREF(given);
    Py_XDECREF(keywords);
    return result;
}

/* ---- snapshot ---- */

static PyObject *snapshot(PyObject *Py_UNUSED(self), PyObject *status)
{
    Core *core = is_at(&in_value, status) ? core_at(&in_value, status) : NULL;
    const Row *row = core == NULL ? NULL : present(core);
    PyObject *member = row == NULL ? NULL : row->member;
    Py_XINCREF(member);
    DROP(core);
    return member != NULL ? member : PyObject_CallFunctionObjArgs(slow_snapshot, status, NULL);
}

/* ---- The attribute ---- */

/* Return a new reference to the entry of the attribute in the instance's `__dict__`, or NULL without an error. */
static PyObject *entry_of(PyObject *self, PyObject *instance)
{
    PyObject *name = is_at(&attribute_name, self) ? at(&attribute_name, self) : NULL, *entry = NULL;
    Py_XINCREF(name); /* a key of the dict may have an __eq__ of Python */
    PyObject *values = name == NULL ? NULL : PyObject_GenericGetDict(instance, NULL);
    if (values != NULL) {
#ifdef Py_GIL_DISABLED
        entry = PyObject_GetItem(values, name);
#else
        entry = PyDict_GetItemWithError(values, name);
        Py_XINCREF(entry);
#endif
    }
    if (entry == NULL)
        PyErr_Clear();
    else if (!is_at(&in_entry, entry))
        Py_CLEAR(entry);
    DROP(name);
    Py_XDECREF(name);
    Py_XDECREF(values);
    return entry;
}

static PyObject *attribute_get(PyObject *self, PyObject *instance, PyObject *owner)
{
    if (instance == NULL || instance == Py_None) {
        Py_INCREF(self);
        return self;
    }
    PyObject *entry = entry_of(self, instance), *member = NULL;
    Core *core = entry == NULL ? NULL : core_at(&in_entry, entry);
    const Row *row = core == NULL ? NULL : present(core);
    if (row != NULL) {
        member = row->member;
        Py_INCREF(member);
    }
    DROP(core);
    Py_XDECREF(entry);
    return member != NULL ? member : PyObject_CallMethod(self, "_get", "OO", instance, owner ? owner : Py_None);
}

static PyObject *name_of_set; /* "set" */

/* Whether the shared value of an entry has the set() of this library, and none of its own. */
static int is_set_ours(PyObject *entry)
{
    PyObject *status = at(&entry_status, entry);
    PyObject *type = status == NULL ? NULL : (PyObject *)Py_TYPE(status);
    DROP(status);
    Py_XINCREF(type);
    PyObject *set = type == NULL ? NULL : PyObject_GetAttr(type, name_of_set);
    int is_ours = set != NULL && (set == fast_set || set == slow_set);
    if (set == NULL)
        PyErr_Clear();
    Py_XDECREF(set);
    Py_XDECREF(type);
    return is_ours;
}

static int attribute_set(PyObject *self, PyObject *instance, PyObject *value)
{
    PyObject *entry = value == NULL ? NULL : entry_of(self, instance);
    Core *core = entry != NULL && is_set_ours(entry) ? core_at(&in_entry, entry) : NULL;
    int done = core == NULL ? 0 : write_plain(core, value);
    DROP(core);
    Py_XDECREF(entry);
    if (done)
        return done < 0 ? -1 : 0;
    PyObject *result = value == NULL ? PyObject_CallMethod(self, "_delete", "(O)", instance)
                                     : PyObject_CallMethod(self, "_set", "OO", instance, value);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* ---- The module ---- */

static PyType_Slot table_slots[] = {
    {Py_tp_new, table_new}, {Py_tp_traverse, table_traverse}, {Py_tp_dealloc, table_dealloc}, {0, NULL}};
static PyType_Spec table_spec = {
    "multiprocessing_intenum._core.Table", sizeof(Table), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, table_slots};

static PyMethodDef core_methods[] = {{"wait", core_wait, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyType_Slot core_slots[] = {{Py_tp_new, core_new},
                                   {Py_tp_traverse, core_traverse},
                                   {Py_tp_dealloc, core_dealloc},
                                   {Py_tp_methods, core_methods},
                                   {0, NULL}};
static PyType_Spec core_spec = {
    "multiprocessing_intenum._core.Core", sizeof(Core), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, core_slots};

static PyGetSetDef reads_fields[] = {
    {"name", reads_name, NULL, "The member's name, or None for a combination of flags without a name.", NULL},
    {"value", reads_value, reads_set_value, "The member's value. Assigning a member or a name is the same as `set()`.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL}};
static PyMethodDef reads_methods[] = {
    {"set", (PyCFunction)(void (*)(void))reads_set, METH_FASTCALL | METH_KEYWORDS,
     "set($self, /, value)\n--\n\nSet the value under its lock, to a member or to the member of this name.\n\n"
     "See EnumValue.set."},
    {"__init_subclass__", (PyCFunction)(void (*)(void))reads_init_subclass, METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     NULL},
    {NULL, NULL, 0, NULL}};
static PyType_Slot reads_slots[] = {{Py_tp_richcompare, reads_compare},
                                    {Py_tp_hash, reads_hash},
                                    {Py_tp_getset, reads_fields},
                                    {Py_tp_methods, reads_methods},
                                    {0, NULL}};
static PyType_Spec reads_spec = {"multiprocessing_intenum._core.Reads", sizeof(PyObject), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 reads_slots};

static PyType_Slot attribute_slots[] = {
    {Py_tp_descr_get, attribute_get}, {Py_tp_descr_set, attribute_set}, {0, NULL}};
static PyType_Spec attribute_spec = {"multiprocessing_intenum._core.Attribute", sizeof(PyObject), 0,
                                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, attribute_slots};

static void keep(PyObject **variable, PyObject *object)
{
    Py_XINCREF(object);
    Py_XDECREF(*variable);
    *variable = object;
}

/* drop_dict(value): the empty dict that wrapt makes for each proxy; an attribute that is set later gets a new one.
   Python calls a method of an object without a dict faster: `status.set(member)` takes 36 ns instead of 79. */
static PyObject *drop_dict(PyObject *Py_UNUSED(module), PyObject *value)
{
#ifndef Py_GIL_DISABLED /* where other threads could just look at it, and Python 3.13 gains nothing */
    if (dict_at > 0 && is_at(&in_value, value)) {
        PyObject **dict = (PyObject **)((char *)value + dict_at);
        if (*dict != NULL && PyDict_CheckExact(*dict) && PyDict_Size(*dict) == 0)
            Py_CLEAR(*dict);
    }
#else
    (void)value;
#endif
    Py_RETURN_NONE;
}

/* use(value_type, set_member): the class with the slot _self_core, and the function that sets what is not plain. */
static PyObject *use(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *type, *set;
    if (!PyArg_ParseTuple(args, "OO:use", &type, &set) || find_place(&in_value, type, "_self_core"))
        return NULL;
    PyObject *offset = PyObject_GetAttrString(type, "__dictoffset__");
    dict_at = offset == NULL ? 0 : PyLong_AsSsize_t(offset);
    Py_XDECREF(offset);
    if (PyErr_Occurred())
        return NULL;
    keep(&slow_set, set);
    Py_RETURN_NONE;
}

/* use_files(lock_type, file_type, described_type): the classes with what a write by path needs. */
static PyObject *use_files(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *lock, *file, *described;
    if (!PyArg_ParseTuple(args, "OOO:use_files", &lock, &file, &described) ||
        find_place(&lock_idle, lock, "_idle") || find_place(&lock_named_at, lock, "_named_at") ||
        find_place(&lock_look_at, lock, "_look_at") || find_place(&file_fd, file, "fd") ||
        find_place(&file_mark, file, "_mark") || find_place(&described_read, described, "_read"))
        return NULL;
    Py_RETURN_NONE;
}

/* use_attribute(attribute_type, entry_type): the classes with the slots _name, and core and status. */
static PyObject *use_attribute(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *type, *entry_type;
    if (!PyArg_ParseTuple(args, "OO:use_attribute", &type, &entry_type) ||
        find_place(&attribute_name, type, "_name") || find_place(&in_entry, entry_type, "core") ||
        find_place(&entry_status, entry_type, "status"))
        return NULL;
    Py_RETURN_NONE;
}

/* snapshot_like(function): a faster one, with the same documentation. */
static PyObject *snapshot_like(PyObject *Py_UNUSED(module), PyObject *function)
{
    static PyMethodDef method = {"snapshot", snapshot, METH_O, NULL};
    static PyObject *documentation;
    PyObject *text = PyObject_GetAttrString(function, "__doc__");
    const char *form = text == Py_None ? "snapshot(status)\n--\n\n" : "snapshot(status)\n--\n\n%S"; /* None: -OO */
    PyObject *encoded = text == NULL ? NULL : PyUnicode_FromFormat(form, text);
    Py_XDECREF(text);
    text = encoded == NULL ? NULL : PyUnicode_AsUTF8String(encoded);
    Py_XDECREF(encoded);
    if (text == NULL)
        return NULL;
    keep(&documentation, text);
    Py_DECREF(text);
    method.ml_doc = PyBytes_AsString(documentation);
    keep(&slow_snapshot, function);
    PyObject *name = PyObject_GetAttrString(function, "__module__");
    PyObject *result = name == NULL ? NULL : PyCFunction_NewEx(&method, NULL, name);
    Py_XDECREF(name);
    return result;
}

static PyMethodDef functions[] = {{"use", use, METH_VARARGS, NULL},
                                  {"drop_dict", drop_dict, METH_O, NULL},
                                  {"use_files", use_files, METH_VARARGS, NULL},
                                  {"use_attribute", use_attribute, METH_VARARGS, NULL},
                                  {"snapshot_like", snapshot_like, METH_O, NULL},
                                  {"be_process", be_process, METH_O, NULL},
                                  {NULL, NULL, 0, NULL}};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0)
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

static int begin(PyObject *module)
{
    static int is_taken;
    if (is_taken) {
        PyErr_SetString(PyExc_ImportError, "this process has imported the C core before");
        return -1;
    }
    is_taken = 1;
    PyTypeObject *types[] = {add_type(module, &table_spec), add_type(module, &core_spec),
                             add_type(module, &reads_spec), add_type(module, &attribute_spec)};
    if (!(types[0] && types[1] && types[2] && types[3]))
        return -1;
    table_type = types[0];
    core_type = types[1];
    reads_type = types[2];
    name_of_set = PyUnicode_InternFromString("set");
    fast_set = PyObject_GetAttrString((PyObject *)reads_type, "set");
    return name_of_set == NULL || fast_set == NULL ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, begin},
#ifdef Py_GIL_DISABLED
                                   {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
                                   {0, NULL}};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                 "multiprocessing_intenum._core",
                                 "The optional C core: the plain case of reads, writes and waits.",
                                 0,
                                 functions,
                                 slots,
                                 NULL,
                                 NULL,
                                 NULL};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&definition); }
