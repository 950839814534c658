/* What a data directory is born with and never changes: partitions, the hashes' seed, its instance.
 *
 *   DIR/genesis:  "TIDEMARK" | u32 format | u32 partitions | u64 seed | 16 B instance | i64 created
 * | u32 CRC-32C of all before */
#pragma once

#include "base/err.h"
#include "model/record.h"
#include "ports/disk.h"

/* Reads DIR/genesis, or makes it (durably) with `partitions` and fresh randomness. On failure
 * *exit_code is 75 (damaged) or 78 (can't be used). The caller holds the directory's lock. */
enum err directory_genesis(const struct disk_folder *data,
                           uint32_t partitions,
                           struct genesis *genesis,
                           int *exit_code,
                           struct error *error) MUST_CHECK;
