/* The client: see http_client.h.
 *
 *   input:  | consumed | head | body or chunks ... | next response |      one growing buffer
 *           0          start                       end
 *
 * Invariants:
 *  1. start <= end <= capacity; what lies before start was handed out.
 *  2. fd < 0 exactly while there is no connection; then under_way is 0.
 *  3. A response's slices point into the buffer, or of a chunked one into itself, moved together.
 */
#include "adapters/http_client/http_client.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define INPUT_BYTES      ((size_t)64 * 1024)
#define REQUEST_HEAD_MAX 8192

struct http_client {
    struct http_url url;
    int64_t timeout_us;
    int fd;
    size_t under_way;
    uint8_t *input;
    size_t capacity;
    size_t start;
    size_t end;
    bool (*interrupted)(void); /* NULL: never */
    bool kept;                 /* at least one response came over this connection */
    char error[200];
};

struct http_client *http_client_create(const struct http_url *url, int64_t timeout_us)
{
    struct http_client *client = calloc(1, sizeof(*client));
    uint8_t *input = malloc(INPUT_BYTES);
    if (client == NULL || input == NULL) {
        free(client);
        free(input);
        return NULL;
    }
    client->url = *url;
    client->timeout_us = timeout_us;
    client->fd = -1;
    client->input = input;
    client->capacity = INPUT_BYTES;
    return client;
}

static void disconnect(struct http_client *client)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    client->fd = -1;
    client->under_way = 0;
    client->start = 0;
    client->end = 0;
    client->kept = false;
}

void http_client_destroy(struct http_client *client)
{
    if (client != NULL) {
        disconnect(client);
        free(client->input);
        free(client);
    }
}

void http_client_interrupt_by(struct http_client *client, bool (*interrupted)(void))
{
    client->interrupted = interrupted;
}

size_t http_client_under_way(const struct http_client *client)
{
    return client->under_way;
}

const char *http_client_error(const struct http_client *client)
{
    return client->error;
}

/* Ends the connection and says why. */
static enum err broken(struct http_client *client, enum err err, const char *what, int number)
{
    (void)snprintf(client->error,
                   sizeof(client->error),
                   "%.60s:%s %s%s%.60s",
                   client->url.host,
                   client->url.port,
                   what,
                   number != 0 ? ": " : "",
                   number != 0 ? strerrordesc_np(number) : "");
    disconnect(client);
    return err;
}

static enum err io_failed(struct http_client *client, const char *what)
{
    bool late = errno == EAGAIN || errno == ETIMEDOUT;
    return broken(client,
                  late ? ERR_REQUEST_TIMEOUT : ERR_UNAVAILABLE,
                  late ? "does not answer" : what,
                  late ? 0 : errno);
}

static enum err send_parts(struct http_client *client, struct iovec *parts, size_t count)
{
    size_t first = 0;
    while (first < count) {
        const struct msghdr message = {.msg_iov = &parts[first], .msg_iovlen = count - first};
        ssize_t sent = sendmsg(client->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return ERR_UNAVAILABLE;
        }
        size_t left = (size_t)sent;
        while (first < count && left >= parts[first].iov_len) {
            left -= parts[first++].iov_len;
        }
        if (first < count) {
            parts[first].iov_base = (uint8_t *)parts[first].iov_base + left;
            parts[first].iov_len -= left;
        }
    }
    return OK;
}

static int head_write(const struct http_client *client,
                      const struct http_client_request *request,
                      char *head,
                      size_t size)
{
    char length[64] = "";
    if (request->content_type != NULL) {
        (void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", request->body.len);
    }
    return snprintf(head,
                    size,
                    "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%s%s\r\n",
                    request->method,
                    request->target,
                    client->url.authority,
                    request->content_type != NULL ? "Content-Type: " : "",
                    request->content_type != NULL ? request->content_type : "",
                    request->content_type != NULL ? "\r\n" : "",
                    length,
                    request->accept != NULL ? "Accept: " : "",
                    request->accept != NULL ? request->accept : "",
                    request->accept != NULL ? "\r\n" : "");
}

enum err http_client_send(struct http_client *client, const struct http_client_request *request)
{
    char head[REQUEST_HEAD_MAX];
    int len = head_write(client, request, head, sizeof(head));
    if (len < 0 || (size_t)len >= sizeof(head)) {
        return broken(client, ERR_TOO_LARGE, "would be asked with a head that is too long", 0);
    }
    if (client->fd < 0) {
        client->fd = http_connect(&client->url, client->timeout_us);
        if (client->fd < 0) {
            return io_failed(client, "can't be reached");
        }
    }
    /* writev's interface has no const, but sendmsg only reads. */
    struct iovec parts[2] = {
        {.iov_base = head, .iov_len = (size_t)len},
        {.iov_base = (void *)(uintptr_t)request->body.data, .iov_len = request->body.len},
    };
    client->under_way++;
    enum err err = send_parts(client, parts, request->body.len > 0 ? 2 : 1);
    if (err != OK && (errno == EPIPE || errno == ECONNRESET)) {
        /* A server may answer before it read the whole body, and close: the answer may be here. */
        return OK;
    }
    return err == OK ? OK : io_failed(client, "broke the connection");
}

/* Room for more input. Moves what is there to the front first. */
static bool room_make(struct http_client *client, size_t need)
{
    size_t held = client->end - client->start;
    if (client->capacity - client->end >= need) {
        return true;
    }
    memmove(client->input, client->input + client->start, held);
    client->start = 0;
    client->end = held;
    if (client->capacity - held >= need) {
        return true;
    }
    size_t capacity = client->capacity;
    while (capacity - held < need) {
        capacity *= 2;
    }
    if (capacity > 2 * HTTP_CLIENT_BODY_MAX) {
        return false;
    }
    uint8_t *input = realloc(client->input, capacity);
    if (input == NULL) {
        return false;
    }
    client->input = input;
    client->capacity = capacity;
    return true;
}

/* At least one more byte of input. */
static enum err input_more(struct http_client *client)
{
    if (!room_make(client, INPUT_BYTES / 4)) {
        return broken(client, ERR_TOO_LARGE, "answers with too much", 0);
    }
    for (;;) {
        ssize_t got =
            recv(client->fd, client->input + client->end, client->capacity - client->end, 0);
        if (got > 0) {
            client->end += (size_t)got;
            return OK;
        }
        if (got == 0) {
            return broken(client, ERR_UNAVAILABLE, "closed the connection", 0);
        }
        if (errno != EINTR) {
            return io_failed(client, "broke the connection");
        }
        if (client->interrupted != NULL && client->interrupted()) {
            return broken(client, ERR_REQUEST_TIMEOUT, "was not waited for", 0);
        }
    }
}

static struct bytes input_bytes(const struct http_client *client, size_t from)
{
    size_t begin = client->start + from;
    CHECK(begin <= client->end);
    return bytes_of(client->input + begin, client->end - begin);
}

/* Makes sure that `need` bytes from the start are there. */
static enum err input_need(struct http_client *client, size_t need)
{
    while (client->end - client->start < need) {
        enum err err = input_more(client);
        if (err != OK) {
            return err;
        }
    }
    return OK;
}

/* A chunked body: moved together in place. *used: bytes of input that it took, from the start;
 * *body_len: of the text that now stands right behind the head. */
static enum err
chunks_read(struct http_client *client, size_t head_len, size_t *used, size_t *body_len)
{
    size_t at = head_len;
    uint64_t size = 1;
    *body_len = 0;
    while (size > 0) {
        size_t line = 0;
        enum err err = http_chunk_line_parse(input_bytes(client, at), &size, &line);
        if (err == ERR_NOT_FOUND) {
            err = input_more(client);
            size = 1;
            if (err != OK) {
                return err;
            }
            continue;
        }
        if (err != OK || size > HTTP_CLIENT_BODY_MAX - *body_len) {
            return broken(client, err != OK ? err : ERR_TOO_LARGE, "answers with broken chunks", 0);
        }
        at += line;
        err = input_need(client, at + (size_t)size + 2); /* its line end too */
        if (err != OK) {
            return err;
        }
        uint8_t *base = client->input + client->start;
        memmove(base + head_len + *body_len, base + at, (size_t)size);
        *body_len += (size_t)size;
        at += (size_t)size + 2;
    }
    *used = at;
    return OK;
}

static enum err head_read(struct http_client *client, struct http_reply_head *head)
{
    for (;;) {
        enum err err = http_reply_head_parse(input_bytes(client, 0), head);
        if (err == OK && head->status >= 200) {
            return OK;
        }
        if (err == OK) {
            client->start += head->len; /* 100 Continue and its like */
            continue;
        }
        if (err != ERR_NOT_FOUND) {
            return broken(client, err, "speaks no HTTP", 0);
        }
        err = input_more(client);
        if (err != OK) {
            return err;
        }
    }
}

/* A body that ends with the connection. */
static enum err rest_read(struct http_client *client, size_t head_len, size_t *body_len)
{
    for (;;) {
        if (!room_make(client, INPUT_BYTES / 4)) {
            return broken(client, ERR_TOO_LARGE, "answers with too much", 0);
        }
        ssize_t got =
            recv(client->fd, client->input + client->end, client->capacity - client->end, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return io_failed(client, "broke the connection");
        }
        if (got == 0) {
            *body_len = client->end - client->start - head_len;
            return OK;
        }
        client->end += (size_t)got;
    }
}

static enum err body_read(struct http_client *client,
                          const struct http_reply_head *head,
                          size_t *used,
                          size_t *body_len)
{
    if (head->chunked) {
        return chunks_read(client, head->len, used, body_len);
    }
    if (!head->length_known) {
        enum err err = rest_read(client, head->len, body_len);
        *used = head->len + *body_len;
        return err;
    }
    if (head->content_length > HTTP_CLIENT_BODY_MAX) {
        return broken(client, ERR_TOO_LARGE, "answers with too much", 0);
    }
    *body_len = (size_t)head->content_length;
    *used = head->len + *body_len;
    return input_need(client, *used);
}

enum err http_client_receive(struct http_client *client, struct http_client_response *response)
{
    CHECK(client->under_way > 0);
    struct http_reply_head head;
    size_t used = 0;
    size_t body_len = 0;
    enum err err = head_read(client, &head);
    if (err == OK) {
        err = body_read(client, &head, &used, &body_len);
    }
    if (err != OK) {
        return err;
    }
    /* Reading the body may have moved the head. */
    err = http_reply_head_parse(bytes_of(client->input + client->start, head.len), &response->head);
    CHECK(err == OK);
    response->status = head.status;
    response->body = bytes_of(client->input + client->start + head.len, body_len);
    client->start += used;
    client->under_way--;
    client->kept = true;
    if (head.close || (!head.chunked && !head.length_known)) {
        /* The slices stay: only the counters are reset. */
        disconnect(client);
    }
    return OK;
}

enum err http_client_exchange(struct http_client *client,
                              const struct http_client_request *request,
                              struct http_client_response *response)
{
    CHECK(client->under_way == 0);
    for (int attempt = 0;; attempt++) {
        bool kept = client->kept;
        enum err err = http_client_send(client, request);
        if (err == OK) {
            bool nothing_yet = client->start == client->end;
            err = http_client_receive(client, response);
            kept = kept && nothing_yet;
        }
        if (err != ERR_UNAVAILABLE || !kept || attempt > 0) {
            return err;
        }
    }
}
