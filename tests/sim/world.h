/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the simulator share: the world, its events, the simulated kernel's objects.
 *
 *   world.c    time, order                        chance.c   chance, trace, failure, counts
 *   life.c     cores as threads, lives, crashes
 *   ring.c     struct io_uring: entries, completions, cancelling
 *   socket.c   connections and the operations on them        client.c   their other end
 *   disk.c     what a disk may do, name.c its names          file.c     operations on files
 *   file_call.c   blocking calls on files
 *   kernel.c   the rest of kernel.h (time, helpers, locks, lines)
 *   actor.c    clients in straight lines                     memory.c   the memory of a life
 *
 * Invariants:
 *   W1 Nothing here depends on an address: objects are named by index, all containers are arrays.
 *   W2 Memory of the world never belongs to a life: it comes from sim_keep_*.
 *   W3 A completion is put into a ring's memory only while its core is inside enter
 *      (DEFER_TASKRUN); before, it waits in `due`.
 */
#ifndef RINGPOST_TESTS_SIM_WORLD_H
#define RINGPOST_TESTS_SIM_WORLD_H

#include <assert.h>

#include "../../src/engine/core_private.h"
#include "sim.h"

enum {
    NONE = -1,
    PAGE_BYTES = 4096,
    SECTOR_BYTES = 512,
    FD_FIRST = 100,
    RING_FD_FIRST = 5000,
    SOCKET_RECEIVE_BYTES = 65536,
    CLIENT_RECEIVE_BYTES = 1 << 20,
    LOG_KEPT_BYTES = 65536,
    PATH_BYTES_MAX = 256,
    TURNS_WITHOUT_TIME_MAX = 1000000,
};

/* ---------------------------------------------------------------- small containers */

struct bytes {
    char *data;
    size_t start, size, capacity; /* size counts from start */
};
static inline const char *bytes_at(const struct bytes *bytes)
{
    return bytes->data == NULL ? "" : bytes->data + bytes->start;
}
void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_drop(struct bytes *bytes, size_t size);
void bytes_free(struct bytes *bytes);
/* Room for one more element in an array of `count`. */
void *array_room(void *array, uint32_t *capacity, uint32_t count, size_t element);

/* ---------------------------------------------------------------- events */

enum event_kind {
    EVENT_OPERATION, /* an operation is to be carried out: index of operation */
    EVENT_TO_SERVER, /* a segment reaches the server: connection */
    EVENT_TO_CLIENT, /* a segment reaches the client: connection */
    EVENT_WAKE,      /* of a core: its index */
    EVENT_HELP,      /* index of help */
    EVENT_LATE,      /* a write of the life before lands: index of late */
    EVENT_ACTOR,     /* an actor's wait is over: index */
    EVENT_RUNNABLE,  /* a stalled core may go on */
};

struct sim_event {
    uint64_t time, tie;
    uint32_t kind, index, generation;
};

/* ---------------------------------------------------------------- operations in flight */

enum operation_state { OPERATION_FREE, OPERATION_WAITING, OPERATION_SCHEDULED };

struct operation {
    uint8_t state, opcode, core, buffer_group;
    bool is_multishot, is_whole, is_impatient, is_select, is_cancelled, is_wake, is_file,
        has_failed;
    bool is_setting; /* URING_CMD: of an option */
    uint32_t generation;
    int32_t next; /* on its socket's or the free list */
    int32_t ring_next, ring_previous;
    int32_t object;      /* socket, or file (inode), or fd entry */
    uint32_t file_flags; /* of the descriptor: O_DIRECT ... */
    int32_t rw_flags;
    uint64_t user_data, offset, size, done, mark;
    void *data;        /* memory of the program, or its struct iovec */
    int32_t error;     /* decided when it was submitted: 0 none */
    int32_t directory; /* OPENAT and others: arguments kept here */
    uint32_t mode;
    char *path, *path2;
};

struct due {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};

/* A ring of provided buffers. */
struct buffers {
    struct io_uring_buf_ring *ring; /* NULL: not registered */
    unsigned entries;
    uint16_t head;
};

/* One per core; the opaque struct of kernel.h. */
struct kernel {
    struct sim *sim;
    unsigned index;
    struct core *core;
    /* the ring */
    struct io_uring *ring; /* NULL when closed */
    unsigned sq_head, sq_tail, sq_flags, sq_dropped, cq_head, cq_tail, cq_flags, cq_overflow;
    unsigned sq_entries, cq_entries;
    struct buffers buffers[BUFFER_GROUP_COUNT];
    int32_t *slots; /* socket, or NONE */
    unsigned slot_count, slot_hint;
    int32_t held[KERNEL_SLOTS_HELD]; /* fds */
    struct due *due;
    uint32_t due_first, due_count, due_capacity;
    int32_t operations; /* in flight: first of a list */
    uint64_t wakes;
    /* its thread */
    struct fiber *fiber;
    enum { CORE_GONE, CORE_READY, CORE_WAITING, CORE_CLOSED } state;
    uint64_t deadline_ns, stalled_ns;
    bool is_poked, is_closing, is_opened;
    bool connects; /* its ring may */
    int open_result;
};

/* ---------------------------------------------------------------- sockets */

struct connection; /* both ends of a connection */

enum socket_kind {
    SOCKET_FREE,
    SOCKET_LISTENER,
    SOCKET_CONNECTION,
    SOCKET_OUTGOING /* made, and not connected */
};
struct listening {
    char address[PATH_BYTES_MAX];
    unsigned port;
    unsigned core;
    int32_t *backlog;
    uint32_t backlog_count, backlog_capacity;
};
struct socket {
    enum socket_kind kind;
    uint32_t references;     /* descriptors, slots, operations */
    int32_t receives, sends; /* operations waiting, oldest first */
    struct listening *listening;
    struct sim_client *peer; /* of a connection; it outlives the socket */
    bool end_came, is_reset, reset_told, is_port_late, is_undelayed;
    unsigned keep_alive;   /* options of it that an outgoing one was given */
    struct bytes received; /* not yet taken by the program */
    struct bytes sending;  /* not yet taken by the client */
    size_t send_capacity;
    int family;      /* of an outgoing one */
    char source[48]; /* that it is bound to; empty: to none */
};

struct sim_client {
    struct sim *sim;
    uint32_t index;
    int32_t socket; /* NONE once the server's end is gone */
    enum sim_client_state state;
    bool end_queued, end_sent, is_paused, is_silent, to_server_scheduled, is_unix, is_six;
    bool to_client_scheduled, is_reset; /* reset: by the server's end, which is gone */
    struct bytes unsent, received, tail;
    enum sim_segments how;
    uint64_t segment_size, bytes_sent;
    size_t line_size; /* of the line an actor read last; not yet consumed */
    uint8_t address[16];
    uint16_t port;
    void (*changed)(struct sim_client *client, void *argument);
    void *argument;
    struct sim_client *wired, *wire_next; /* outgoing.c: the one at the other end of the wire */
};

/* ---------------------------------------------------------------- disk */

struct page {
    uint8_t *medium, *cache; /* the same when clean; NULL: zeros */
    bool is_reserved;
};

enum pending_kind { PENDING_WRITE, PENDING_LENGTH };
struct pending {
    enum pending_kind kind;
    bool is_doomed;
    uint64_t offset, size, sequence; /* LENGTH: offset is the new length */
    uint8_t *data;
};

struct inode {
    bool is_used, is_directory;
    uint32_t opens; /* descriptors and operations */
    uint32_t names, durable_names;
    uint64_t size, durable_size;
    struct page *pages;
    uint32_t page_count, page_capacity;
    struct pending *pending;
    uint32_t pending_count, pending_capacity;
};

struct name {
    int32_t directory;
    uint32_t hash;
    char *text;
    int32_t inode;
};
struct names {
    struct name *rows;
    uint32_t count, capacity;
};
enum name_operation_kind { NAME_CREATE, NAME_UNLINK, NAME_RENAME };
struct name_operation {
    enum name_operation_kind kind;
    bool is_doomed; /* a sync of its directory has failed: it will not be durable */
    int32_t directory, to_directory;
    char *text, *to_text;
    int32_t inode;
    uint64_t sequence;
};
/* Where a path leads: a name (borrowed from the path) in a directory. */
struct place_in {
    int32_t directory;
    const char *text;
};

enum descriptor_kind {
    DESCRIPTOR_FREE,
    DESCRIPTOR_FILE,
    DESCRIPTOR_SOCKET,
    DESCRIPTOR_WAKE,
    DESCRIPTOR_LOCK
};
struct descriptor {
    enum descriptor_kind kind;
    int32_t object;
    uint32_t flags;
};

struct lock {
    char *path;
    bool is_held, is_registered;
    uint64_t until_ns; /* when not held: lingers until then */
    int fd;
};

struct late {
    bool is_used;
    int32_t inode;
    uint64_t offset, size;
    uint8_t *data;
};

struct help {
    bool is_used;
    unsigned core;
    void (*work)(void *argument);
    void (*finished)(void *argument);
    void *argument;
};

struct sim_actor {
    struct sim *sim;
    uint32_t index, generation;
    void (*fn)(struct sim_actor *actor, void *argument);
    void *argument;
    struct fiber *fiber;
    bool is_done, is_ready;
    struct sim_client *client; /* waits for it to hold more than `size` bytes */
    size_t size;
};

/* ---------------------------------------------------------------- the world */

struct planned {
    unsigned kinds;
    uint64_t n, seen[4];
    int error;
    bool persistent, has_failed;
};

struct sim {
    struct sim_options options;
    struct engine *stage; /* whose core 0 runs cores and actors as fibers */
    struct engine *engine;
    struct kernel kernels[CORES_MAX];
    unsigned life, turns_without_time;
    bool is_up;

    uint64_t now_ns;
    int64_t wall_offset_ns;
    uint64_t chance, scenario_chance, program_chance, events_max;
    uint64_t trace;
    char failure[512];
    uint64_t counts[SIM_COUNT_COUNT], fault_counts[SIM_FAULT_COUNT];
    struct planned planned;
    bool may_abort;
    char abort_text[200];
    int crash_kind; /* planned; NONE */
    uint64_t crash_at;
    bool crash_soon;

    struct sim_event *events;
    uint32_t event_count, event_capacity;
    uint64_t event_sequence;
    uint32_t generation; /* the last given to anything */

    struct operation *operations;
    uint32_t operation_count, operation_capacity;
    int32_t operations_free;
    struct socket *sockets;
    uint32_t socket_count, socket_capacity;
    struct sim_client **clients;
    uint32_t client_count, client_capacity;
    unsigned kept_alive;      /* connects */
    struct sim_client *wires; /* the nearer end of each, that of the socket that connected */
    int connect_core;
    char connect_from[48];
    struct descriptor *descriptors;
    uint32_t descriptor_count, descriptor_capacity;
    struct lock *locks;
    uint32_t lock_count, lock_capacity;
    struct late *lates;
    uint32_t late_count, late_capacity;
    struct help *helps;
    uint32_t help_count, help_capacity;
    struct sim_actor **actors;
    uint32_t actor_count, actor_capacity, actors_ready;

    struct inode *inodes;
    uint32_t inode_count, inode_capacity;
    struct names names, durable_names;
    struct name_operation *name_operations;
    uint32_t name_operation_count, name_operation_capacity;
    uint64_t disk_sequence, disk_pages, disk_slow_ns;

    struct bytes log;
};

/* chance.c */
uint64_t chance_next(uint64_t *state);
uint32_t chance_below(struct sim *sim, uint32_t bound);
uint64_t chance_around(struct sim *sim, uint64_t usual); /* half to twice; exact when in_order */
void trace_close(const struct sim *sim);                 /* the world ends */
void trace_mix(struct sim *sim, uint64_t value);
/* One operation of a kind has come: 0, or the -errno with which the plan fails it. */
int planned_failure(struct sim *sim, enum sim_operation kind, int usual);

/* world.c */
void event_add(struct sim *sim, uint64_t delay_ns, enum event_kind kind, uint32_t index,
               uint32_t generation);
static const uint64_t FOREVER_NS = UINT64_C(1) << 62;

/* life.c */
struct engine *stage_make(void);
void stage_leave(struct engine *stage);
bool core_is_runnable(const struct kernel *kernel);
void core_run(struct sim *sim, unsigned index);
struct core *stage_core(struct sim *sim);
void stage_resume(struct sim *sim, struct fiber *fiber);
void stage_kill(struct sim *sim, struct fiber *fiber);
void kernel_wait(struct kernel *kernel, uint64_t deadline_ns);

/* ring.c */
int32_t operation_add(struct kernel *kernel, const struct io_uring_sqe *sqe);
void operation_schedule(struct sim *sim, int32_t index, uint64_t delay_ns);
/* Posts the last completion of the operation and frees it. */
void operation_end(struct sim *sim, int32_t index, int result, unsigned flags);
void operation_more(struct sim *sim, int32_t index, int result, unsigned flags);
void operation_run(struct sim *sim, int32_t index); /* its event has come */
void kernel_post(struct kernel *kernel, uint64_t user_data, int result, unsigned flags);
void ring_forget(struct kernel *kernel);
bool ring_is_due(const struct kernel *kernel);

/* socket.c */
int32_t socket_new(struct sim *sim, enum socket_kind kind);
void socket_unref(struct sim *sim, int32_t index);
void socket_submit(struct kernel *kernel, int32_t operation, const struct io_uring_sqe *sqe);
void socket_run(struct sim *sim, int32_t operation);
void socket_kick(struct sim *sim, int32_t index); /* something changed: waiting operations */
void socket_reset(struct sim *sim, int32_t index);
void sockets_crash(struct sim *sim, bool is_silent);
int32_t socket_listening(struct sim *sim, const char *address, unsigned port, int core);
int slot_take(struct kernel *kernel, int32_t socket);
void slot_close(struct kernel *kernel, unsigned slot);

/* client.c */
void client_to_server(struct sim *sim, uint32_t index);
void client_from_server(struct sim *sim, uint32_t index);
void client_kick(struct sim *sim, struct sim_client *client);
void client_server_gone(struct sim *sim, struct sim_client *client, bool is_reset);
void clients_free(struct sim *sim);
struct sim_client *client_new(struct sim *sim, bool is_unix);
/* Puts a connection of the client's into the listening socket's backlog; the address it comes from,
 * NULL: a drawn one. */
void client_arrive(struct sim *sim, struct sim_client *client, int32_t at, const char *from);
uint64_t client_travel_ns(struct sim *sim); /* of a segment */

/* outgoing.c */
void outgoing_submit(struct kernel *kernel, int32_t operation, const struct io_uring_sqe *sqe);
void outgoing_run(struct sim *sim, int32_t operation); /* SOCKET, BIND, CONNECT */
/* Of an option of a socket; its result. */
int outgoing_option(struct sim *sim, int32_t socket, const struct io_uring_sqe *sqe);
/* Something came to an end of a wire, or left it, or it has ended: passes it on. */
void wire_look(struct sim_client *from);

/* name.c; paths are normalized */
bool disk_place(const struct sim *sim, const char *path, struct place_in *ret_place);
int32_t disk_find(const struct sim *sim, const char *path);
int32_t disk_make(struct sim *sim, bool is_directory);                     /* without a name yet */
void disk_name_now(struct sim *sim, struct place_in place, int32_t inode); /* durably */
void disk_name_add(struct sim *sim, enum name_operation_kind kind, struct place_in place,
                   const struct place_in *to, int32_t inode);
void disk_forget_name(struct sim *sim, struct place_in place); /* durably */
bool disk_is_empty(const struct sim *sim, int32_t directory);
void disk_release(struct sim *sim, int32_t inode);
/* Successful or not. */
void disk_sync_directory(struct sim *sim, int32_t inode, uint64_t mark, bool failed);
void disk_cut(struct sim *sim);
void disk_free(struct sim *sim);

/* disk.c */
size_t disk_read(struct sim *sim, int32_t inode, uint64_t offset, void *data, size_t size,
                 bool is_direct);
/* -ENOSPC, or 0: into the page cache and among the pending, or durable at once. */
int disk_write(struct sim *sim, int32_t inode, uint64_t offset, const void *data, uint64_t size,
               bool is_durable);
int disk_length(struct sim *sim, int32_t inode, uint64_t size, bool is_durable);
int disk_reserve(struct sim *sim, int32_t inode, uint64_t offset, uint64_t size);
void disk_sync(struct sim *sim, int32_t inode, uint64_t mark);
void disk_doom(struct sim *sim, int32_t inode, uint64_t mark);
void inode_cut(struct sim *sim, struct inode *inode);
void inode_empty(struct sim *sim, struct inode *inode);

/* file_call.c: "a//b/" → "/a/b"; false when it is longer than PATH_BYTES_MAX */
bool path_normalize(const char *path, char *ret_path);

/* file.c */
int descriptor_add(struct sim *sim, enum descriptor_kind kind, int32_t object, uint32_t flags);
struct descriptor *descriptor_of(struct sim *sim, int fd);
int descriptor_close(struct sim *sim, int fd);
void file_submit(struct kernel *kernel, int32_t operation, const struct io_uring_sqe *sqe);
void file_run(struct sim *sim, int32_t operation);
void files_crash(struct sim *sim, enum sim_crash_kind kind);
void late_land(struct sim *sim, uint32_t index);

/* kernel.c */
void wake_submit(struct kernel *kernel, int32_t operation);
void wake_run(struct sim *sim, int32_t operation);
void wake_arrive(struct sim *sim, uint32_t core);
void help_run(struct sim *sim, uint32_t index);
bool lock_close(struct sim *sim, int fd);
void locks_crash(struct sim *sim, enum sim_crash_kind kind, uint64_t last_late_ns);

/* actor.c */
void actors_run_one(struct sim *sim);
void actor_ready(struct sim *sim, struct sim_actor *actor);
void actors_look(struct sim *sim, const struct sim_client *client);
void actors_free(struct sim *sim);

/* memory.c */
void memory_enter(struct sim *sim);        /* what is allocated from now on belongs to the life */
void memory_enter_surely(struct sim *sim); /* the same, and none of it fails */
struct sim *memory_owner(void);            /* whose core runs now, or NULL */
void memory_leave(void);
void memory_drop(void); /* frees all that is left of the life */
uint64_t memory_live(void);

#endif
