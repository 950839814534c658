/* An AVL tree without recursion or parent links: the way down is remembered as the links that were
 * followed, and walked back to restore the balance.
 *
 *     lift(&link, 1):      link              link
 *                           |                 |
 *                           a                 b
 *                          / \               / \
 *                         .   b      ->     a   .
 *                            / \           / \
 *                           m   .         .   m
 *
 * A rotation below a remembered link changes what that link leads to, never where the link is. */
#include "core/collect_tree.h"

#include "base/check.h"

static uint32_t height_of(const struct collect_node *node)
{
    return node == NULL ? 0 : node->height;
}

static void update_height(struct collect_node *node)
{
    uint32_t low = height_of(node->child[0]);
    uint32_t high = height_of(node->child[1]);
    node->height = 1 + (low > high ? low : high);
}

/* Puts the child on this side into the place of its parent. */
static void lift(struct collect_node **link, int side)
{
    struct collect_node *parent = *link;
    struct collect_node *child = parent->child[side];
    CHECK(child != NULL);
    parent->child[side] = child->child[!side];
    child->child[!side] = parent;
    *link = child;
    update_height(parent);
    update_height(child);
}

/* Makes invariant 2 true at *link, where it is true below and one insertion or removal away. */
static void rebalance(struct collect_node **link)
{
    struct collect_node *node = *link;
    uint32_t low = height_of(node->child[0]);
    uint32_t high = height_of(node->child[1]);
    if (low <= high + 1 && high <= low + 1) {
        update_height(node);
        return;
    }
    CHECK(low <= high + 2);
    CHECK(high <= low + 2);
    int side = high > low;
    struct collect_node *heavy = node->child[side];
    CHECK(heavy != NULL);
    if (height_of(heavy->child[!side]) > height_of(heavy->child[side])) {
        lift(&node->child[side], !side);
    }
    lift(link, side);
}

struct collect_node *collect_tree_find(struct collect_node *root, int64_t key)
{
    struct collect_node *node = root;
    while (node != NULL && node->key != key) {
        node = node->child[key > node->key];
    }
    return node;
}

struct collect_node *collect_tree_first(struct collect_node *root)
{
    struct collect_node *node = root;
    while (node != NULL && node->child[0] != NULL) {
        node = node->child[0];
    }
    return node;
}

void collect_tree_insert(struct collect_node **root, struct collect_node *node)
{
    struct collect_node **path[COLLECT_TREE_DEPTH_MAX];
    uint32_t depth = 0;
    struct collect_node **link = root;
    while (*link != NULL) {
        CHECK(depth < COLLECT_TREE_DEPTH_MAX);
        CHECK((*link)->key != node->key);
        path[depth++] = link;
        link = &(*link)->child[node->key > (*link)->key];
    }
    node->child[0] = NULL;
    node->child[1] = NULL;
    node->height = 1;
    *link = node;
    while (depth > 0) {
        rebalance(path[--depth]);
    }
}

struct collect_node *collect_tree_take_first(struct collect_node **root)
{
    if (*root == NULL) {
        return NULL;
    }
    struct collect_node **path[COLLECT_TREE_DEPTH_MAX];
    uint32_t depth = 0;
    struct collect_node **link = root;
    while ((*link)->child[0] != NULL) {
        CHECK(depth < COLLECT_TREE_DEPTH_MAX);
        path[depth++] = link;
        link = &(*link)->child[0];
    }
    struct collect_node *first = *link;
    *link = first->child[1];
    while (depth > 0) {
        rebalance(path[--depth]);
    }
    return first;
}

static void validate_node(const struct collect_node *node)
{
    uint32_t low = height_of(node->child[0]);
    uint32_t high = height_of(node->child[1]);
    CHECK(node->height == 1 + (low > high ? low : high));
    CHECK(low <= high + 1);
    CHECK(high <= low + 1);
}

/* The nodes whose lower side is done or under way: what an in-order walk has to come back to. */
struct walk {
    const struct collect_node *open[COLLECT_TREE_DEPTH_MAX];
    uint32_t depth;
};

static void descend(struct walk *walk, const struct collect_node *node)
{
    for (; node != NULL; node = node->child[0]) {
        CHECK(walk->depth < COLLECT_TREE_DEPTH_MAX);
        walk->open[walk->depth++] = node;
    }
}

size_t collect_tree_validate(const struct collect_node *root)
{
    struct walk walk = {.depth = 0};
    size_t count = 0;
    int64_t last_key = INT64_MIN;
    descend(&walk, root);
    while (walk.depth > 0) {
        const struct collect_node *node = walk.open[--walk.depth];
        validate_node(node);
        CHECK(count == 0 || node->key > last_key);
        last_key = node->key;
        count++;
        descend(&walk, node->child[1]);
    }
    return count;
}
