/* From bytes to the handler's calls, and from its responses to bytes. */
#pragma once

#include "adapters/http_server/http_connection.h"

/* Deals with the input as far as the phase allows; returns how many bytes are done with. What is
 * left is to be given again, with more behind it or after something else happened. */
size_t http_exchange_consume(struct http_connection *connection, struct bytes input);

/* Goes on after a response that came outside of the handler's calls. */
void http_exchange_settle(struct http_connection *connection);

/* Answers with an error of the server's own and ends the connection. An exchange that waits is
 * gone. */
void http_exchange_refuse(struct http_connection *connection, enum err err, const char *detail);

/* Forgets the request in progress; an exchange that waits is gone. */
void http_exchange_drop(struct http_connection *connection);

/* respond, pause and resume; the server pointer is not used. */
extern const struct http_server_ops http_exchange_ops;
