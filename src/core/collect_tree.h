/* An ordered set of 64-bit keys: an AVL tree whose nodes lie inside what they find.
 *
 * The tree allocates nothing and trusts no hash, so no choice of keys makes it slow: find, insert
 * and take_first take O(log n) steps, never more than COLLECT_TREE_DEPTH_MAX.
 *
 * Invariants (collect_tree_validate):
 *  1. Keys to the left are lower, keys to the right are higher; no key is there twice.
 *  2. A node's height is one more than its higher child's; the children's heights differ by at most
 *     one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define COLLECT_TREE_DEPTH_MAX 92 /* an AVL tree of 2^64 nodes is not deeper */

struct collect_node {
    struct collect_node *child[2]; /* lower, higher */
    int64_t key;
    uint32_t height; /* of a leaf: 1 */
};

/* The node with this key, or NULL. */
struct collect_node *collect_tree_find(struct collect_node *root, int64_t key);

/* The node with the lowest key; NULL when the tree is empty. */
struct collect_node *collect_tree_first(struct collect_node *root);

/* Adds a node of which only the key is set. The key must not be in the tree; the node stays where
 * it is until it is taken out. */
void collect_tree_insert(struct collect_node **root, struct collect_node *node);

/* Takes the node with the lowest key out; NULL when the tree is empty. */
struct collect_node *collect_tree_take_first(struct collect_node **root);

/* CHECKs the invariants; returns the number of nodes. O(n). */
size_t collect_tree_validate(const struct collect_node *root);
