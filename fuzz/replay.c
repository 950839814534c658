/* Replays kept inputs through a fuzz target, without libFuzzer: each file as it is, then cut short
 * at every length, then with each of its first bytes changed a few ways. Deterministic, and the
 * reason why whatever was found once stays found.
 *
 * Usage: <target>_replay FOLDER...    Every file in the folders; a folder that isn't there has
 * none. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_BYTES_MAX  (1 << 20)
#define VARIED_BYTES_MAX 512 /* how much of an input is varied */

static const uint8_t OTHERS[] = {0x00, 0x01, 0x22, 0x2d, 0x5c, 0x7f, 0x80, 0xff};

/* The target gets a copy of its own, exactly as long as the input, so that AddressSanitizer sees a
 * read beyond it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t replay_input(uint8_t *data, size_t size)
{
    size_t varied = size < VARIED_BYTES_MAX ? size : VARIED_BYTES_MAX;
    size_t runs = 1;
    run(data, size);
    for (size_t i = 0; i < varied; i++) {
        run(data, i);
        uint8_t kept = data[i];
        for (size_t j = 0; j < sizeof(OTHERS); j++) {
            data[i] = OTHERS[j];
            run(data, size);
        }
        data[i] = kept ^ 1;
        run(data, size);
        data[i] = kept;
        runs += 2 + sizeof(OTHERS);
    }
    return runs;
}

static size_t replay_file(const char *path, uint8_t *memory)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0; /* a folder */
    }
    size_t size = fread(memory, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    return replay_input(memory, size);
}

static size_t replay_folder(const char *path, uint8_t *memory)
{
    DIR *folder = opendir(path);
    size_t runs = 0;
    if (folder == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char name[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        int len = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (len > 0 && (size_t)len < sizeof(name)) {
            runs += replay_file(name, memory);
        }
    }
    closedir(folder);
    return runs;
}

int main(int argc, char **argv)
{
    uint8_t *memory = malloc(INPUT_BYTES_MAX);
    size_t runs = 0;
    printf("1..1\n");
    for (int i = 1; memory != NULL && i < argc; i++) {
        runs += replay_folder(argv[i], memory);
    }
    free(memory);
    /* Nothing replayed proves nothing. */
    printf("%s 1 - %zu inputs and variations of them\n", runs > 0 ? "ok" : "not ok", runs);
    printf("# totals: fuzz_replays=%zu\n", runs);
    return runs > 0 ? 0 : 1;
}
