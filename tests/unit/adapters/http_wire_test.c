/* Bytes on the wire and what must come of them: the strictness of RFC 9112 as a table, and the same
 * answers for every way to cut a request into pieces. */
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A request from its bytes (which may hold NUL); the head of one to this server. */
#define WIRE(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define GET     "GET / HTTP/1.1\r\n"
#define POST    "POST / HTTP/1.1\r\n"
#define HOST    "Host: localhost:8080\r\n"
#define CHUNKED POST HOST "Transfer-Encoding: chunked\r\n\r\n"
#define SIXTY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct wire_case {
    const char *name;
    struct bytes bytes;
    int status;
    bool closes;
};

static const struct wire_case cases[] = {
    /* The request line. */
    {"plain GET", WIRE(GET HOST "\r\n"), 200, false},
    {"one empty line before it", WIRE("\r\n" GET HOST "\r\n"), 200, false},
    {"two empty lines before it", WIRE("\r\n\r\n" GET HOST "\r\n"), 400, true},
    {"a bare LF before it", WIRE("\n" GET HOST "\r\n"), 400, true},
    {"lines end with a bare LF", WIRE("GET / HTTP/1.1\nHost: a\n\n"), 400, true},
    {"the request line ends with a bare LF", WIRE("GET / HTTP/1.1\n" HOST "\r\n"), 400, true},
    {"the request line ends with CR CR LF", WIRE("GET / HTTP/1.1\r\r\n" HOST "\r\n"), 400, true},
    {"a bare CR in the request line", WIRE("GET /\rx HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"two spaces before the target", WIRE("GET  / HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"two spaces before the version", WIRE("GET /  HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a space after the version", WIRE("GET / HTTP/1.1 \r\n" HOST "\r\n"), 400, true},
    {"a space before the method", WIRE(" GET / HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a tab between method and target", WIRE("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"no target", WIRE("GET HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"HTTP/0.9", WIRE("GET /\r\n"), 400, true},
    {"only a method", WIRE("GET\r\n"), 400, true},
    {"no method", WIRE("/ HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a method with a separator", WIRE("GE(T / HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a method that is too long", WIRE(SIXTY_A " / HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a NUL in the request line", WIRE("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a TLS handshake", WIRE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, true},
    {"an unknown method is the handler's", WIRE("BREW / HTTP/1.1\r\n" HOST "\r\n"), 200, false},
    {"methods have case", WIRE("get / HTTP/1.1\r\n" HOST "\r\n"), 200, false},
    {"CONNECT", WIRE("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), 405, true},
    {"TRACE", WIRE("TRACE / HTTP/1.1\r\n" HOST "\r\n"), 405, true},
    /* Versions. */
    {"lower-case http", WIRE("GET / http/1.1\r\n" HOST "\r\n"), 400, true},
    {"no minor version", WIRE("GET / HTTP/1\r\n" HOST "\r\n"), 400, true},
    {"two-digit minor version", WIRE("GET / HTTP/1.11\r\n" HOST "\r\n"), 400, true},
    {"HTTP/1.2", WIRE("GET / HTTP/1.2\r\n" HOST "\r\n"), 505, true},
    {"HTTP/2.0", WIRE("GET / HTTP/2.0\r\n" HOST "\r\n"), 505, true},
    {"HTTP/0.9 by name", WIRE("GET / HTTP/0.9\r\n" HOST "\r\n"), 505, true},
    {"the HTTP/2 preface", WIRE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, true},
    {"another protocol", WIRE("GET / HTCPCP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a letter as version", WIRE("GET / HTTP/x.1\r\n" HOST "\r\n"), 400, true},
    {"HTTP/1.0 closes", WIRE("GET / HTTP/1.0\r\n\r\n"), 200, true},
    {"HTTP/1.0 stays when asked",
     WIRE("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
     200,
     false},
    /* Targets. */
    {"absolute form", WIRE("GET http://a.example/x HTTP/1.1\r\nHost: b\r\n\r\n"), 200, false},
    {"absolute form, https", WIRE("GET HTTPS://a/x HTTP/1.1\r\nHost: b\r\n\r\n"), 200, false},
    {"absolute form without path", WIRE("GET http://a?q HTTP/1.1\r\nHost: b\r\n\r\n"), 200, false},
    {"absolute form without Host", WIRE("GET http://a/x HTTP/1.1\r\n\r\n"), 400, true},
    {"absolute form with user information",
     WIRE("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n"),
     400,
     true},
    {"absolute form without host", WIRE("GET http:///x HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"absolute form, port too large",
     WIRE("GET http://a:65536/ HTTP/1.1\r\n" HOST "\r\n"),
     400,
     true},
    {"another scheme", WIRE("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"authority form of GET", WIRE("GET a:80 HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a relative path", WIRE("GET x/y HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"* for OPTIONS", WIRE("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 200, false},
    {"* for GET", WIRE("GET * HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"** for OPTIONS", WIRE("OPTIONS ** HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a fragment", WIRE("GET /#x HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a good percent-encoding", WIRE("GET /%2f%C3%bc?%20 HTTP/1.1\r\n" HOST "\r\n"), 200, false},
    {"a bad percent-encoding", WIRE("GET /%2g HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a cut percent-encoding", WIRE("GET /%2 HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a lone percent in the query", WIRE("GET /?% HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a backslash", WIRE("GET /a\\b HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"a quote in the query", WIRE("GET /?a=\"b\" HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"bytes above ASCII", WIRE("GET /\xc3\xbc HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    {"DEL in the target", WIRE("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), 400, true},
    /* Host. */
    {"no Host", WIRE(GET "\r\n"), 400, true},
    {"two Hosts", WIRE(GET "Host: a\r\nHost: a\r\n\r\n"), 400, true},
    {"an empty Host", WIRE(GET "Host:\r\n\r\n"), 400, true},
    {"a Host with a path", WIRE(GET "Host: a/b\r\n\r\n"), 400, true},
    {"a Host with user information", WIRE(GET "Host: u@a\r\n\r\n"), 400, true},
    {"a Host with a space", WIRE(GET "Host: a b\r\n\r\n"), 400, true},
    {"a Host that is a list", WIRE(GET "Host: a, b\r\n\r\n"), 400, true},
    {"a Host with a bad port", WIRE(GET "Host: a:8x\r\n\r\n"), 400, true},
    {"a Host with a port too large", WIRE(GET "Host: a:99999\r\n\r\n"), 400, true},
    {"a Host with two ports", WIRE(GET "Host: a:1:2\r\n\r\n"), 400, true},
    {"only a port", WIRE(GET "Host: :80\r\n\r\n"), 400, true},
    {"an IPv6 Host", WIRE(GET "Host: [::1]:8080\r\n\r\n"), 200, false},
    {"an IPv6 Host that is not closed", WIRE(GET "Host: [::1\r\n\r\n"), 400, true},
    {"an IPv6 Host with a zone", WIRE(GET "Host: [fe80::1%eth0]\r\n\r\n"), 400, true},
    {"an IPv6 Host with no colon", WIRE(GET "Host: [abcd]\r\n\r\n"), 400, true},
    {"two Hosts in HTTP/1.0", WIRE("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400, true},
    {"host in lower case", WIRE(GET "host: a\r\n\r\n"), 200, false},
    /* Fields. */
    {"a space before the colon", WIRE(GET "Host : a\r\n\r\n"), 400, true},
    {"a tab before the colon", WIRE(GET HOST "X\t: a\r\n\r\n"), 400, true},
    {"no colon", WIRE(GET HOST "X\r\n\r\n"), 400, true},
    {"no name", WIRE(GET HOST ": a\r\n\r\n"), 400, true},
    {"a name with a space", WIRE(GET HOST "X Y: a\r\n\r\n"), 400, true},
    {"a name with a byte above ASCII", WIRE(GET HOST "X\xff: a\r\n\r\n"), 400, true},
    {"a folded line", WIRE(GET HOST "X: a\r\n b\r\n\r\n"), 400, true},
    {"a folded line with a tab", WIRE(GET HOST "X: a\r\n\tb\r\n\r\n"), 400, true},
    {"a space before the first field", WIRE(GET " " HOST "\r\n"), 400, true},
    {"a line of one space", WIRE(GET HOST " \r\n\r\n"), 400, true},
    {"a bare CR in a value", WIRE(GET HOST "X: a\rb\r\n\r\n"), 400, true},
    {"a bare LF after a value", WIRE(GET HOST "X: a\nY: b\r\n\r\n"), 400, true},
    {"a NUL in a value", WIRE(GET HOST "X: a\0b\r\n\r\n"), 400, true},
    {"a control character in a value", WIRE(GET HOST "X: a\x01\r\n\r\n"), 400, true},
    {"DEL in a value", WIRE(GET HOST "X: a\x7f\r\n\r\n"), 400, true},
    {"a tab in a value", WIRE(GET HOST "X: a\tb\r\n\r\n"), 200, false},
    {"bytes above ASCII in a value", WIRE(GET HOST "X: \xc3\xbc\r\n\r\n"), 200, false},
    {"an empty value", WIRE(GET HOST "X:\r\n\r\n"), 200, false},
    {"no space after the colon", WIRE(GET "Host:a\r\n\r\n"), 200, false},
    {"much space around a value", WIRE(GET "Host: \t a \t \r\n\r\n"), 200, false},
    {"the head ends with a bare LF", WIRE(GET HOST "\n"), 400, true},
    {"the head ends with CR CR LF", WIRE(GET HOST "\r\r\n"), 400, true},
    /* Connection, Expect, Upgrade. */
    {"Connection: close", WIRE(GET HOST "Connection: close\r\n\r\n"), 200, true},
    {"Connection: CLOSE in a list", WIRE(GET HOST "Connection: x, CLOSE\r\n\r\n"), 200, true},
    {"close wins over keep-alive",
     WIRE(GET HOST "Connection: keep-alive,close\r\n\r\n"),
     200,
     true},
    {"Connection is no list", WIRE(GET HOST "Connection: a;b\r\n\r\n"), 400, true},
    {"an unknown expectation",
     WIRE(POST HOST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx"),
     417,
     true},
    {"Expect without a body", WIRE(GET HOST "Expect: 100-continue\r\n\r\n"), 200, false},
    {"Upgrade to h2c is ignored",
     WIRE(GET HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                   "HTTP2-Settings: AAMAAABk\r\n\r\n"),
     200,
     false},
    /* Lengths. */
    {"a body", WIRE(POST HOST "Content-Length: 5\r\n\r\nhello"), 200, false},
    {"an empty body", WIRE(POST HOST "Content-Length: 0\r\n\r\n"), 200, false},
    {"no length, no body", WIRE(POST HOST "\r\n"), 200, false},
    {"a GET with a body", WIRE(GET HOST "Content-Length: 1\r\n\r\nx"), 200, false},
    {"leading zeros", WIRE(POST HOST "Content-Length: 0005\r\n\r\nhello"), 200, false},
    {"two equal lengths",
     WIRE(POST HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
     400,
     true},
    {"two lengths",
     WIRE(POST HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
     400,
     true},
    {"a list of equal lengths", WIRE(POST HOST "Content-Length: 5, 5\r\n\r\nhello"), 400, true},
    {"a list without space", WIRE(POST HOST "Content-Length: 5,5\r\n\r\nhello"), 400, true},
    {"a plus sign", WIRE(POST HOST "Content-Length: +5\r\n\r\nhello"), 400, true},
    {"a minus sign", WIRE(POST HOST "Content-Length: -5\r\n\r\nhello"), 400, true},
    {"a hex length", WIRE(POST HOST "Content-Length: 0x5\r\n\r\nhello"), 400, true},
    {"a length of 20 digits",
     WIRE(POST HOST "Content-Length: 10000000000000000000\r\n\r\n"),
     400,
     true},
    {"20 digits, most of them zeros",
     WIRE(POST HOST "Content-Length: 00000000000000000005\r\n\r\nhello"),
     400,
     true},
    {"an empty length", WIRE(POST HOST "Content-Length:\r\n\r\n"), 400, true},
    {"a length with a fraction", WIRE(POST HOST "Content-Length: 5.0\r\n\r\nhello"), 400, true},
    {"a length with space inside", WIRE(POST HOST "Content-Length: 5 0\r\n\r\nhello"), 400, true},
    {"a space before the length's colon",
     WIRE(POST HOST "Content-Length : 5\r\n\r\nhello"),
     400,
     true},
    {"a length and chunks",
     WIRE(POST HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"chunks and a length",
     WIRE(POST HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"chunks and a length of zero",
     WIRE(POST HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
     400,
     true},
    /* Transfer codings. */
    {"chunked in capitals",
     WIRE(POST HOST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"),
     200,
     false},
    {"chunked, identity",
     WIRE(POST HOST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"identity", WIRE(POST HOST "Transfer-Encoding: identity\r\n\r\n"), 400, true},
    {"gzip, chunked",
     WIRE(POST HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"xchunked", WIRE(POST HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400, true},
    {"chunked twice",
     WIRE(POST HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"two codings",
     WIRE(POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"an empty coding", WIRE(POST HOST "Transfer-Encoding:\r\n\r\n"), 400, true},
    {"chunked with a parameter",
     WIRE(POST HOST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"a quoted coding",
     WIRE(POST HOST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"a vertical tab before chunked",
     WIRE(POST HOST "Transfer-Encoding: \x0b"
                    "chunked\r\n\r\n0\r\n\r\n"),
     400,
     true},
    {"chunked in HTTP/1.0",
     WIRE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400,
     true},
    /* Chunks. */
    {"chunks", WIRE(CHUNKED "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), 200, false},
    {"no chunk but the last", WIRE(CHUNKED "0\r\n\r\n"), 200, false},
    {"many zeros in the last size", WIRE(CHUNKED "000\r\n\r\n"), 200, false},
    {"a hex size", WIRE(CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), 200, false},
    {"an extension", WIRE(CHUNKED "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n"), 200, false},
    {"a trailer", WIRE(CHUNKED "0\r\nX: a\r\nY:\r\n\r\n"), 200, false},
    {"a prefix 0x", WIRE(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a negative size", WIRE(CHUNKED "-5\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a plus before the size", WIRE(CHUNKED "+5\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a size of 17 digits", WIRE(CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a size beyond 64 bits", WIRE(CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"no size", WIRE(CHUNKED "\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"only an extension", WIRE(CHUNKED ";a\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a space before the size", WIRE(CHUNKED " 5\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a space after the size", WIRE(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), 400, true},
    {"an underscore in the size", WIRE(CHUNKED "1_0\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a bare LF after the size", WIRE(CHUNKED "5\nhello\r\n0\r\n\r\n"), 400, true},
    {"a bare LF after the data", WIRE(CHUNKED "5\r\nhello\n0\r\n\r\n"), 400, true},
    {"a bare CR after the size", WIRE(CHUNKED "5\rhello\r\n0\r\n\r\n"), 400, true},
    {"a bare LF in an extension", WIRE(CHUNKED "5;a\nhello\r\n0\r\n\r\n"), 400, true},
    {"a NUL in an extension", WIRE(CHUNKED "5;a\0\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"data longer than the size", WIRE(CHUNKED "4\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"data shorter than the size", WIRE(CHUNKED "6\r\nhello\r\n0\r\n\r\n"), 400, true},
    {"a bare LF at the end", WIRE(CHUNKED "0\r\n\n"), 400, true},
    {"a length as trailer", WIRE(CHUNKED "0\r\nContent-Length: 5\r\n\r\n"), 400, true},
    {"a host as trailer", WIRE(CHUNKED "0\r\nhost: a\r\n\r\n"), 400, true},
    {"a coding as trailer", WIRE(CHUNKED "0\r\nTRANSFER-ENCODING: chunked\r\n\r\n"), 400, true},
    {"a trailer with space before the colon", WIRE(CHUNKED "0\r\nX : a\r\n\r\n"), 400, true},
    {"a trailer without a colon", WIRE(CHUNKED "0\r\nX\r\n\r\n"), 400, true},
    {"a trailer without a name", WIRE(CHUNKED "0\r\n: a\r\n\r\n"), 400, true},
    {"a folded trailer", WIRE(CHUNKED "0\r\nX: a\r\n b\r\n\r\n"), 400, true},
    {"a bare LF after a trailer", WIRE(CHUNKED "0\r\nX: a\n\r\n"), 400, true},
    {"a NUL in a trailer", WIRE(CHUNKED "0\r\nX: \0\r\n\r\n"), 400, true},
    /* What comes behind a request. */
    {"garbage after a request", WIRE(GET HOST "\r\n\x01"), 400, true},
    {"a body that was not announced", WIRE(POST HOST "\r\n{}"), 400, true},
};

static const char next_request[] = "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n";

static void check_case(struct fixture *fixture, const struct wire_case *wire)
{
    struct client client = client_connect(fixture);
    struct bytes body;
    size_t last = 0;
    client_send(fixture, &client, wire->bytes);
    client_settle(fixture, &client);
    if (wire->closes) {
        client_await_close(fixture, &client);
    } else {
        client_send(fixture, &client, bytes_of_string(next_request));
        client_settle(fixture, &client);
        last = 1;
    }
    size_t count = client_responses(&client);
    /* The unannounced cases: first a good answer, then the refusal of what follows. */
    int status = client_response(&client, count == 0 ? 0 : count - 1 - last, &body);
    if (status != wire->status || client.closed != wire->closes || client.reset ||
        client.len == 0) {
        print_error("%s: %d, %s%s\n%.*s\n",
                    wire->name,
                    status,
                    client.closed ? "closed" : "open",
                    client.reset ? ", reset" : "",
                    (int)client.len,
                    (const char *)client.in);
        fail();
    }
    if (!wire->closes) {
        assert_int_equal(client_response(&client, 1, &body), 200);
        assert_memory_equal(body.data, "GET /next  localhost ", body.len);
    }
    client_close(&client);
    fixture_turn(fixture);
}

static void each_request_of_the_table_gets_its_answer(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(&fixture, &cases[i]);
    }
    assert_int_equal(http_server_connections(fixture.server), 0);
    fixture_close(&fixture);
}

/* The whole conversation, the client closing its side at the end. */
static size_t
converse(struct fixture *fixture, struct bytes bytes, const size_t *cuts, uint8_t *out)
{
    struct client client = client_pair(fixture);
    size_t at = 0;
    for (const size_t *cut = cuts; at < bytes.len; cut++) {
        size_t end = *cut;
        client_send(fixture, &client, bytes_of(bytes.data + at, end - at));
        client_settle(fixture, &client);
        at = end;
    }
    size_t len = client.len;
    memcpy(out, client.in, len);
    client_close(&client);
    fixture_turn(fixture);
    return len;
}

#define ANSWER_BYTES 4096
#define BYTES_MAX    512

/* Every split of every request, good or bad: a refused request is refused with the same words. */
static void the_answer_does_not_depend_on_how_the_bytes_are_cut(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes bytes = cases[i].bytes;
        uint8_t whole[ANSWER_BYTES];
        uint8_t cut[ANSWER_BYTES];
        size_t each[BYTES_MAX];
        assert_true(bytes.len <= BYTES_MAX);
        size_t whole_len = converse(&fixture, bytes, &bytes.len, whole);
        assert_true(whole_len > 0);
        for (size_t at = 1; at < bytes.len; at++) {
            size_t len = converse(&fixture, bytes, (size_t[]){at, bytes.len}, cut);
            if (len != whole_len || memcmp(whole, cut, len) != 0) {
                print_error("%s, cut at %zu: %.*s\nwhole: %.*s\n",
                            cases[i].name,
                            at,
                            (int)len,
                            (const char *)cut,
                            (int)whole_len,
                            (const char *)whole);
                fail();
            }
            each[at - 1] = at;
        }
        each[bytes.len - 1] = bytes.len;
        size_t len = converse(&fixture, bytes, each, cut);
        assert_int_equal(len, whole_len);
        assert_memory_equal(cut, whole, len);
    }
    fixture_close(&fixture);
}

static void pipelined_requests_give_the_same_answers_for_every_cut(void **state)
{
    static const char text[] =
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        "GET /b?q HTTP/1.1\r\nHost: b\r\n\r\n\r\n"
        "PUT /c HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x\r\nde\r\n0\r\nX: y\r\n\r\n"
        "GET /empty HTTP/1.1\r\nHost: d\r\n\r\n"
        "POST /early HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n\r\n01234"
        "POST /part HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1\r\nx\r\n3\r\nyyy\r\n0\r\n\r\n"
        "DELETE /g HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n";
    struct fixture fixture;
    struct bytes bytes = bytes_of(text, sizeof(text) - 1);
    uint8_t whole[ANSWER_BYTES];
    uint8_t cut[ANSWER_BYTES];
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, false);
    size_t whole_len = converse(&fixture, bytes, &bytes.len, whole);
    assert_int_equal(fixture.heads, 7);
    assert_int_equal(fixture.ends, 5);
    for (size_t at = 1; at < bytes.len; at++) {
        size_t len = converse(&fixture, bytes, (size_t[]){at, bytes.len}, cut);
        assert_int_equal(len, whole_len);
        assert_memory_equal(cut, whole, len);
    }
    fixture_close(&fixture);
}

/* A request with generated parts. */
struct maker {
    uint8_t data[64 * 1024];
    struct buf out;
};

static void put_many(struct buf *out, char byte, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_put_u8(out, (uint8_t)byte);
    }
}

static int status_of(struct fixture *fixture, const struct buf *request)
{
    assert_false(request->overflow);
    struct client client = client_connect(fixture);
    struct bytes body;
    client_send(fixture, &client, buf_bytes(request));
    client_settle(fixture, &client);
    int status = client_response(&client, 0, &body);
    if (status >= 400) {
        client_await_close(fixture, &client);
        assert_true(client.closed);
    }
    client_close(&client);
    fixture_turn(fixture);
    return status;
}

static int target_of(struct fixture *fixture, size_t target_len)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, "GET /");
    put_many(&maker.out, 'a', target_len - 1);
    buf_put_text(&maker.out, " HTTP/1.1\r\nHost: a\r\n\r\n");
    return status_of(fixture, &maker.out);
}

static void targets_are_limited_to_8_KiB(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(target_of(&fixture, 8192), 200);
    assert_int_equal(target_of(&fixture, 8193), 414);
    assert_int_equal(target_of(&fixture, 9000), 414);
    assert_int_equal(target_of(&fixture, 40000), 414);
    fixture_close(&fixture);
}

static int line_of(struct fixture *fixture, size_t line_len, size_t lines, bool finished)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 0; i < lines; i++) {
        buf_put_text(&maker.out, "X: ");
        put_many(&maker.out, 'a', line_len - 5);
        if (finished || i + 1 < lines) {
            buf_put_text(&maker.out, "\r\n");
        }
    }
    buf_put_text(&maker.out, finished ? "\r\n" : "");
    return status_of(fixture, &maker.out);
}

static void field_lines_are_limited_to_8_KiB_and_heads_to_16_KiB(void **state)
{
    const size_t before = sizeof("GET / HTTP/1.1\r\nHost: a\r\n") - 1;
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(line_of(&fixture, 8192, 1, true), 200);
    assert_int_equal(line_of(&fixture, 8193, 1, true), 431);
    assert_int_equal(line_of(&fixture, 20000, 1, false), 431);
    size_t line_len = (16384 - before - 2) / 4;
    assert_int_equal((16384 - before - 2) % 4, 1);
    assert_int_equal(line_of(&fixture, line_len, 4, true), 200);
    assert_int_equal(line_of(&fixture, line_len + 1, 4, true), 431);
    fixture_close(&fixture);
}

static int fields_of(struct fixture *fixture, size_t count)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 1; i < count; i++) {
        buf_put_text(&maker.out, "X: y\r\n");
    }
    buf_put_text(&maker.out, "\r\n");
    return status_of(fixture, &maker.out);
}

static void there_may_be_64_fields_and_no_more(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(fields_of(&fixture, 64), 200);
    assert_int_equal(fields_of(&fixture, 65), 431);
    fixture_close(&fixture);
}

static int chunk_of(struct fixture *fixture, size_t extension_len, size_t trailers)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, CHUNKED "1;");
    put_many(&maker.out, 'e', extension_len);
    buf_put_text(&maker.out, "\r\nx\r\n0\r\n");
    for (size_t i = 0; i < trailers; i++) {
        buf_put_text(&maker.out, "X: y\r\n");
    }
    buf_put_text(&maker.out, "\r\n");
    return status_of(fixture, &maker.out);
}

static void chunk_extensions_and_trailers_are_limited(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(chunk_of(&fixture, 1024, 0), 200);
    assert_int_equal(chunk_of(&fixture, 1025, 0), 400);
    assert_int_equal(chunk_of(&fixture, 0, 64), 200);
    assert_int_equal(chunk_of(&fixture, 0, 65), 431);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_of_the_table_gets_its_answer),
        cmocka_unit_test(the_answer_does_not_depend_on_how_the_bytes_are_cut),
        cmocka_unit_test(pipelined_requests_give_the_same_answers_for_every_cut),
        cmocka_unit_test(targets_are_limited_to_8_KiB),
        cmocka_unit_test(field_lines_are_limited_to_8_KiB_and_heads_to_16_KiB),
        cmocka_unit_test(there_may_be_64_fields_and_no_more),
        cmocka_unit_test(chunk_extensions_and_trailers_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
