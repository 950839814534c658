/* tidemark serve: network threads in front of a node.
 *
 * Each network thread has its own listening socket, HTTP server, API and gateway; one turn of its
 * loop serves the sockets that are ready, then takes back what the engine answered. The mailbox's
 * event fd is watched like a socket, so one wait covers both.
 *
 * Drain (SIGTERM, SIGINT): stop accepting, answer what is open (readers that wait for the feed are
 * let go of), then close the node in order. */
#include "apps/serve.h"

#include "adapters/clock_system/clock_system.h"
#include "adapters/codec/codec.h"
#include "adapters/http_server/http_listen.h"
#include "adapters/http_server/http_server.h"
#include "adapters/thread_system/thread_system.h"
#include "api/api.h"
#include "apps/version.h"
#include "base/check.h"
#include "host/gateway_thread.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_PORT_TAKEN             69
#define EXIT_NO_MEMORY              71
#define EXIT_CONFIGURATION          78
#define READY_POLL_US               10000
#define TICK_MS                     100
#define DRAIN_DEFAULT_US            (10 * US_PER_SECOND)
#define CONNECTIONS_MAX             16384
#define DESCRIPTORS_WANTED          (CONNECTIONS_MAX + 1024)
#define DESCRIPTORS_MIN             64   /* fewer leave too little for the log or for connections */
#define CONNECTIONS_PER_ADDRESS_MAX 1024 /* loopback is exempt */
#define RESPONSE_BYTES_MAX          (20u << 20) /* a page of 1,000 events may be large */
#define KEEP_FREED_BYTES            (64 << 20)
/* Of all threads together: request bodies and events on their way, and what sockets wait for. */
#define HELD_BYTES_MIN   ((size_t)64 << 20)
#define HELD_BYTES_MAX   ((size_t)1 << 30)
#define BUFFER_BYTES_MIN ((size_t)64 << 20)
#define BUFFER_BYTES_MAX ((size_t)512 << 20)

/* The signal that asks to end; read by all loops. */
static atomic_int stop_signal;

static void on_signal(int number)
{
    if (atomic_exchange(&stop_signal, number) != 0) {
        _exit(128 + number); /* the second one: at once; everything answered is durable */
    }
}

struct network_thread {
    uint32_t number;
    uint32_t threads;
    struct node *node;
    const struct serve_options *options;
    struct api *api;
    struct http_handler handler;
    struct http_server *server;
    pthread_t thread;
    bool drained;
};

/* A thread's share of a quarter of --memory, held within the two ends. */
static size_t share_of(const struct network_thread *network, size_t min, size_t max)
{
    uint64_t part = node_memory_bytes(network->node) / 4;
    part = part < min ? min : part > max ? max : part;
    return (size_t)part / network->threads;
}

static bool network_create(struct network_thread *network, int listen_fd)
{
    struct api_options api_options = {
        .gateway = node_gateway(network->node, network->number),
        .codec = codec_port(),
        .version = TIDEMARK_VERSION,
        .allowed_hosts = network->options->allowed_hosts,
        .allowed_host_count = network->options->allowed_host_count,
        .held_bytes_max = share_of(network, HELD_BYTES_MIN, HELD_BYTES_MAX),
    };
    network->api = api_create(&api_options);
    if (network->api == NULL) {
        return false;
    }
    network->handler = api_handler(network->api);
    struct http_server_options server_options = {
        .listen_fds = &listen_fd,
        .listen_count = 1,
        .handler = &network->handler,
        .clock = clock_system_port(),
        .connections_max = CONNECTIONS_MAX / network->threads,
        .servers = network->threads,
        .connections_per_address_max = CONNECTIONS_PER_ADDRESS_MAX,
        .out_bytes_max = RESPONSE_BYTES_MAX,
        .buffer_bytes_max = share_of(network, BUFFER_BYTES_MIN, BUFFER_BYTES_MAX),
    };
    network->server = http_server_create(&server_options);
    if (network->server == NULL) {
        return false;
    }
    api_bind(network->api, http_server_port(network->server));
    int event_fd = node_waker(network->node, network->number)->event_fd;
    return http_server_watch(network->server, event_fd, NULL, NULL);
}

/* One turn: what the engine answered, then the sockets, sleeping when there is nothing. */
static void network_turn(struct network_thread *network)
{
    bool busy =
        node_gateway_step(network->node, network->number) || http_server_behind(network->server);
    if (busy) {
        http_server_poll(network->server, 0);
    } else {
        struct waker *waker = node_waker(network->node, network->number);
        waker_prepare(waker);
        bool sleep = !node_waiting(network->node, network->number);
        http_server_poll(network->server, sleep ? TICK_MS : 0);
        waker_awake(waker);
    }
    api_tick(network->api);
}

static void network_drain(struct network_thread *network)
{
    int64_t limit = network->options->drain_timeout_us;
    limit = limit == 0 ? DRAIN_DEFAULT_US : limit;
    struct clock_port clock = clock_system_port();
    int64_t until = clock.ops->boot_us(clock.ctx) + limit;
    http_server_stop_accepting(network->server);
    api_drain(network->api);
    node_drain(network->node);
    bool open = true;
    while (open && clock.ops->boot_us(clock.ctx) < until) {
        network_turn(network);
        open = api_open_requests(network->api) > 0 || !http_server_idle(network->server);
    }
    struct gateway *gateway = node_gateway(network->node, network->number);
    gateway_close(gateway);
    http_server_destroy(network->server);
    while (gateway_under_way(gateway) > 0) {
        if (!node_gateway_step(network->node, network->number)) {
            node_wait(network->node, network->number, 10000);
        }
    }
    network->server = NULL;
    api_destroy(network->api);
}

static void *network_main(void *ctx)
{
    struct network_thread *network = ctx;
    thread_ask_short_slices();
    while (atomic_load(&stop_signal) == 0) {
        network_turn(network);
    }
    network_drain(network);
    return NULL;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    CHECK(sigaction(SIGPIPE, &ignore, NULL) == 0);
}

/* Shells give 1,024 descriptors and allow more; a connection takes one. False: too few to serve. */
static bool raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS_WANTED) {
        return true;
    }
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what there is must do otherwise */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS_MIN) {
        return true;
    }
    (void)fprintf(stderr,
                  "tidemark: not enough descriptors to serve: %llu are allowed (ulimit -n), %d or "
                  "more are needed\n",
                  (unsigned long long)limit.rlim_cur,
                  DESCRIPTORS_MIN);
    return false;
}

static int refuse(const struct error *error, int exit_code)
{
    (void)fprintf(stderr, "tidemark: %s\n", error->text);
    if (error->hint[0] != '\0') {
        (void)fprintf(stderr, "tidemark: %s\n", error->hint);
    }
    return exit_code;
}

static void greet(const struct serve_options *options, int fd)
{
    (void)printf("tidemark %s listens on http://%s:%u, data in %s\n",
                 TIDEMARK_VERSION,
                 options->host,
                 http_listen_port(fd),
                 options->node.directory);
    (void)fflush(stdout);
}

static void tell_start(const struct node_start *start)
{
    if (start->replayed_events > 0 || start->snapshot_position != UINT64_MAX) {
        (void)printf("tidemark: %llu events replayed%s\n",
                     (unsigned long long)start->replayed_events,
                     start->snapshot_position != UINT64_MAX ? " after the newest snapshot" : "");
    }
    if (start->torn_bytes > 0) {
        (void)fprintf(stderr,
                      "tidemark: %llu bytes of unacknowledged tail were set aside (*.torn)\n",
                      (unsigned long long)start->torn_bytes);
    }
    (void)fflush(stdout);
}

static int serve_node(const struct serve_options *options,
                      struct node *node,
                      struct node_start *start,
                      const int *fds)
{
    uint32_t threads = options->node.gateways;
    struct network_thread *networks = calloc(threads, sizeof(*networks));
    if (networks == NULL) {
        (void)fprintf(stderr, "tidemark: not enough memory to serve\n");
        _exit(EXIT_NO_MEMORY); /* the engine's threads run already */
    }
    for (uint32_t n = 0; n < threads; n++) {
        networks[n] = (struct network_thread){
            .number = n, .threads = threads, .node = node, .options = options};
        if (!network_create(&networks[n], fds[n]) ||
            pthread_create(&networks[n].thread, NULL, network_main, &networks[n]) != 0) {
            (void)fprintf(stderr, "tidemark: not enough memory or descriptors to serve\n");
            _exit(EXIT_NO_MEMORY); /* threads run already: nothing to take down in order */
        }
    }
    while (!node_ready(node, start) && atomic_load(&stop_signal) == 0) {
        (void)usleep(READY_POLL_US);
    }
    tell_start(start);
    for (uint32_t n = 0; n < threads; n++) {
        CHECK(pthread_join(networks[n].thread, NULL) == 0);
    }
    free(networks);
    node_close(node);
    return 0;
}

/* Without tokens, whoever reaches the port may do everything: so only this machine may. */
static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(host, "localhost") == 0) {
        return true;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == IN_LOOPBACKNET;
    }
    char bare[INET6_ADDRSTRLEN] = {0};
    size_t len = strlen(host);
    bool bracketed = len > 2 && len < sizeof(bare) && host[0] == '[' && host[len - 1] == ']';
    memcpy(bare, bracketed ? host + 1 : "", bracketed ? len - 2 : 0);
    return inet_pton(AF_INET6, bracketed ? bare : host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

int serve_run(const struct serve_options *given)
{
    struct serve_options options = *given;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t threads = options.network_threads;
    threads = threads != 0 ? threads : (cores < 1 ? 1 : (uint32_t)cores);
    threads = threads > RUNNERS_MAX ? RUNNERS_MAX : threads;
    options.node.gateways = threads;
    options.node.in_background = true;
    /* Request bodies come and go: keep their memory instead of asking the kernel each time. */
    (void)mallopt(M_MMAP_THRESHOLD, KEEP_FREED_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_FREED_BYTES);
    if (!raise_descriptor_limit()) {
        return EXIT_NO_MEMORY;
    }
    catch_signals();
    int fds[HTTP_LISTEN_SOCKETS_MAX];
    struct error error = {0};
    if (!is_loopback(options.host)) {
        (void)fprintf(stderr,
                      "tidemark: %s is not a loopback address: without tokens only this machine "
                      "may reach the server; put a proxy in front of it\n",
                      options.host);
        return EXIT_CONFIGURATION;
    }
    struct http_listen_address address = {.host = options.host, .port = options.port};
    enum err err = http_listen(&address, fds, threads, &error);
    if (err != OK) {
        return refuse(&error, err == ERR_CONFLICT ? EXIT_PORT_TAKEN : EXIT_CONFIGURATION);
    }
    struct node *node;
    struct node_start start;
    if (node_open(&options.node, &node, &start, &error) != OK) {
        return refuse(&error, start.exit_code);
    }
    greet(&options, fds[0]);
    return serve_node(&options, node, &start, fds);
}
