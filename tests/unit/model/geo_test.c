#include "../base/support.h"

#include <math.h>

#include "model/geo.h"

#define DEGREES_PER_RADIAN 57.29577951308232

static double uniform(uint64_t *seed, double low, double high)
{
    return low + (high - low) * (double)(random_next(seed) >> 11) / 9007199254740992.0;
}

static double reference_m(struct geo_point a, struct geo_point b)
{
    double north = sin((b.latitude - a.latitude) / DEGREES_PER_RADIAN / 2);
    double east = sin((b.longitude - a.longitude) / DEGREES_PER_RADIAN / 2);
    double h = north * north + cos(a.latitude / DEGREES_PER_RADIAN) *
                                   cos(b.latitude / DEGREES_PER_RADIAN) * east * east;
    return 2 * 6371008.8 * atan2(sqrt(h), sqrt(1 - h));
}

static void distances_agree_with_the_mathematical_library(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("distances");
    for (int i = 0; i < 100000; i++) {
        double reach = i % 2 == 0 ? 180.0 : 0.01;
        struct geo_point a = {uniform(&seed, -90, 90), uniform(&seed, -180, 180)};
        struct geo_point b = {a.latitude + uniform(&seed, -reach, reach),
                              a.longitude + uniform(&seed, -reach, reach)};
        if (!geo_point_valid(b)) {
            continue;
        }
        double expected = reference_m(a, b);
        double actual = geo_distance_m(a, b);
        assert_true(fabs(actual - expected) <= 1e-9 * expected + 1e-6);
    }
}

static void known_distances_come_out(void **state)
{
    (void)state;
    struct geo_point kennedy = {40.64, -73.78};
    struct geo_point north = {90, 0};
    struct geo_point south = {-90, 77};
    struct geo_point west = {0, -180};
    struct geo_point east = {0, 180};
    assert_true(geo_distance_m(kennedy, kennedy) == 0.0);
    assert_true(fabs(geo_distance_m(north, south) - 20015114.442035925) < 1e-3);
    assert_true(geo_distance_m(west, east) < 1e-6);
}

static void points_off_the_globe_are_not_valid(void **state)
{
    (void)state;
    assert_true(geo_point_valid((struct geo_point){-90, 360}));
    assert_false(geo_point_valid((struct geo_point){90.1, 0}));
    assert_false(geo_point_valid((struct geo_point){0, -360.5}));
}

static void a_box_may_cross_the_antimeridian(void **state)
{
    (void)state;
    struct geo_point corner = {-10, 170};
    struct geo_point other = {10, -170};
    assert_true(geo_within_box((struct geo_point){0, 180}, corner, other));
    assert_true(geo_within_box((struct geo_point){10, -170}, corner, other));
    assert_false(geo_within_box((struct geo_point){0, 0}, corner, other));
    assert_false(geo_within_box((struct geo_point){11, 180}, corner, other));
}

static void assert_geohash(double latitude, double longitude, const char *expected)
{
    uint8_t characters[GEOHASH_CHARACTERS_MAX + 1] = {0};
    geohash_write((struct geo_point){latitude, longitude}, (int)strlen(expected), characters);
    assert_string_equal((const char *)characters, expected);
}

static void known_geohashes_come_out(void **state)
{
    (void)state;
    assert_geohash(57.64911, 10.40744, "u4pruydqqvj");
    assert_geohash(42.6, -5.6, "ezs42");
    assert_geohash(-25.382708, -49.265506, "6gkzwgjzn820");
    assert_geohash(0, 0, "s00000000000");
    assert_geohash(-0.0, -0.0, "s00000000000");
    assert_geohash(90, 180, "zzzzzzzzzzzz");
    assert_geohash(90, -180, "bpbpbpbpbpbp");
    assert_geohash(-90, 180, "pbpbpbpbpbpb");
    assert_geohash(-90, -180, "000000000000");
    assert_geohash(90, 0, "upbpbpbpbpbp");
    assert_geohash(0, 180, "xbpbpbpbpbpb");
    assert_geohash(-1e-300, -1e-300, "7zzzzzzzzzzz");
}

/* The characters read back to the cell's corner, in whole steps of the last halving. */
static void a_geohash_names_the_cell_that_holds_its_point(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("geohashes");
    static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    for (int i = 0; i < 20000; i++) {
        struct geo_point point = {uniform(&seed, -90, 90), uniform(&seed, -180, 180)};
        uint8_t characters[GEOHASH_CHARACTERS_MAX];
        int count = 1 + i % GEOHASH_CHARACTERS_MAX;
        geohash_write(point, count, characters);
        double corner[] = {-180, -90};
        double size[] = {360, 180};
        for (int bit = 0; bit < count * 5; bit++) {
            const char *at = strchr(alphabet, characters[bit / 5]);
            assert_non_null(at);
            size[bit % 2] /= 2;
            corner[bit % 2] += ((at - alphabet) >> (4 - bit % 5) & 1) != 0 ? size[bit % 2] : 0;
        }
        assert_true(point.longitude >= corner[0] && point.longitude < corner[0] + size[0]);
        assert_true(point.latitude >= corner[1] && point.latitude < corner[1] + size[1]);
    }
}

static void a_geohash_needs_a_point_on_one_turn_of_the_globe(void **state)
{
    (void)state;
    assert_true(geohash_point_valid((struct geo_point){-90, -180}));
    assert_true(geohash_point_valid((struct geo_point){90, 180}));
    assert_false(geohash_point_valid((struct geo_point){0, 180.0000001}));
    assert_false(geohash_point_valid((struct geo_point){0, -360}));
    assert_false(geohash_point_valid((struct geo_point){-90.0000001, 0}));
    assert_false(geohash_point_valid((struct geo_point){(double)NAN, 0}));
    assert_false(geohash_point_valid((struct geo_point){0, (double)NAN}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_agree_with_the_mathematical_library),
        cmocka_unit_test(known_distances_come_out),
        cmocka_unit_test(points_off_the_globe_are_not_valid),
        cmocka_unit_test(a_box_may_cross_the_antimeridian),
        cmocka_unit_test(known_geohashes_come_out),
        cmocka_unit_test(a_geohash_names_the_cell_that_holds_its_point),
        cmocka_unit_test(a_geohash_needs_a_point_on_one_turn_of_the_globe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
