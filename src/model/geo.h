/* Distances and cells on the sphere, in plain double arithmetic: the same bits on every machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GEOHASH_CHARACTERS_MAX     12
#define GEOHASH_CHARACTERS_DEFAULT 9 /* a cell of about 5 m */

struct geo_point {
    double latitude;  /* degrees, [-90, 90] */
    double longitude; /* degrees, [-360, 360] */
};

bool geo_point_valid(struct geo_point point);

/* Metres along the great circle (haversine, mean radius 6371008.8 m), within 1e-9 of the exact
 * formula for distances above a metre. */
double geo_distance_m(struct geo_point a, struct geo_point b);

/* Whether the point lies in the box, borders included. A box whose west lies east of its east
 * crosses the 180th meridian. */
bool geo_within_box(struct geo_point point,
                    struct geo_point south_west,
                    struct geo_point north_east);

/* Whether the point has a geohash: its longitude lies in [-180, 180]. */
bool geohash_point_valid(struct geo_point point);

/* The first `count` characters of the point's geohash. A cell has its south and west borders, the
 * last ones before the pole and the 180th meridian both. */
void geohash_write(struct geo_point point, int count, uint8_t *characters);
