/* tidemark serve: settings to serve_run. */
#include "apps/commands.h"
#include "apps/node_settings.h"
#include "apps/say.h"
#include "apps/serve.h"
#include "base/text.h"

#include <string.h>

#define HOST_MAX 255

/* "host:port", "[v6]:port" or ":port". */
static bool listen_split(const char *text, char host[HOST_MAX + 1], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number = 0;
    if (colon == NULL || !u64_parse(bytes_of_string(colon + 1), &number) || number > 65535) {
        return false;
    }
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    }
    if (len > HOST_MAX || (!bracketed && memchr(text, ':', len) != NULL)) {
        return false;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (len == 0) {
        text_put(host, HOST_MAX + 1, "127.0.0.1");
    }
    *port = (uint16_t)number;
    return true;
}

int serve_command(const struct command *command)
{
    const struct settings *settings = command->settings;
    const struct setting_texts *hosts = &settings->texts[OPTION_ALLOWED_HOST];
    char host[HOST_MAX + 1];
    struct serve_options options = {
        .node = node_settings(settings),
        .host = host,
        .network_threads = (uint32_t)setting_number(settings, OPTION_THREADS),
        .allowed_hosts = hosts->items,
        .allowed_host_count = hosts->count,
        .drain_timeout_us = setting_number(settings, OPTION_DRAIN_TIMEOUT),
    };
    if (command->argument_count > 0) {
        complain("serve takes options only, not \"%.60s\"", command->arguments[0]);
        return EXIT_CODE_USAGE;
    }
    if (!listen_split(setting_text(settings, OPTION_LISTEN), host, &options.port)) {
        bool typed = setting(settings, OPTION_LISTEN)->origin == ORIGIN_COMMAND_LINE;
        complain("--listen: \"%.80s\" is not HOST:PORT", setting_text(settings, OPTION_LISTEN));
        return typed ? EXIT_CODE_USAGE : EXIT_CODE_CONFIGURATION;
    }
    options.node.directory = setting_text(settings, OPTION_SERVE_DATA);
    return serve_run(&options);
}
