/* Sine, arc tangent and square root by series and Newton steps, since the library's differ between
 * machines and a replay must give the same distance to the last bit.
 *
 * Accuracy: each function is within a few units of the last place on its reduced range; the
 * haversine form itself is well conditioned but near the antipode, where atan2 of both roots is
 * used.
 *
 * A geohash halves the globe bit by bit, longitude first; every border is a multiple of 45 / 2^28,
 * which a double holds exactly, so no rounding moves a point to the cell next to its own. */
#include "model/geo.h"

#include "base/check.h"

#define PI             3.14159265358979323846
#define EARTH_RADIUS_M 6371008.8

/* Newton's method from above: the guess shrinks until it stops shrinking. x in [0, 4]. */
static double square_root(double x)
{
    if (x <= 0.0) {
        return 0.0;
    }
    double root = x > 1.0 ? x : 1.0;
    for (int i = 0; i < 600; i++) {
        double next = 0.5 * (root + x / root);
        if (next >= root) {
            break;
        }
        root = next;
    }
    return root;
}

/* Taylor series of sine and cosine on [-pi/4, pi/4]: the next term is below 1e-19. */
static double sine_near_zero(double x)
{
    double square = x * x;
    double sum = 0.0;
    for (int n = 19; n >= 3; n -= 2) {
        sum = -square / (double)(n * (n - 1)) * (1.0 + sum);
    }
    return x * (1.0 + sum);
}

static double cosine_near_zero(double x)
{
    double square = x * x;
    double sum = 0.0;
    for (int n = 20; n >= 2; n -= 2) {
        sum = -square / (double)(n * (n - 1)) * (1.0 + sum);
    }
    return 1.0 + sum;
}

/* x in [-4 pi, 4 pi]. */
static double sine(double x)
{
    int quarter = (int)(x / (PI / 2) + (x < 0 ? -0.5 : 0.5));
    double rest = x - (double)quarter * (PI / 2);
    switch (quarter & 3) {
    case 0:
        return sine_near_zero(rest);
    case 1:
        return cosine_near_zero(rest);
    case 2:
        return -sine_near_zero(rest);
    default: /* 3 */
        return -cosine_near_zero(rest);
    }
}

/* The angle whose tangent is y / x, for y, x >= 0 and not both 0. Halving the angle twice brings
 * the tangent below 0.2, where the series ends after 13 terms. */
static double arc_tangent(double y, double x)
{
    CHECK(y > 0.0 || x > 0.0);
    bool swap = y > x;
    double tangent = swap ? x / y : y / x;
    for (int i = 0; i < 2; i++) {
        tangent = tangent / (1.0 + square_root(1.0 + tangent * tangent));
    }
    double square = tangent * tangent;
    double sum = 0.0;
    for (int n = 27; n >= 1; n -= 2) {
        sum = 1.0 / (double)n - square * sum;
    }
    double angle = 4.0 * tangent * sum;
    return swap ? PI / 2 - angle : angle;
}

bool geo_point_valid(struct geo_point point)
{
    return point.latitude >= -90.0 && point.latitude <= 90.0 && point.longitude >= -360.0 &&
           point.longitude <= 360.0;
}

static double radians(double degrees)
{
    return degrees * (PI / 180.0);
}

double geo_distance_m(struct geo_point a, struct geo_point b)
{
    CHECK(geo_point_valid(a));
    CHECK(geo_point_valid(b));
    double north = sine(radians(b.latitude - a.latitude) / 2.0);
    double east = sine(radians(b.longitude - a.longitude) / 2.0);
    double cosines = sine(PI / 2 - radians(a.latitude)) * sine(PI / 2 - radians(b.latitude));
    double haversine = north * north + cosines * east * east;
    haversine = haversine > 1.0 ? 1.0 : haversine;
    return 2.0 * EARTH_RADIUS_M * arc_tangent(square_root(haversine), square_root(1.0 - haversine));
}

bool geo_within_box(struct geo_point point,
                    struct geo_point south_west,
                    struct geo_point north_east)
{
    bool latitude_fits =
        point.latitude >= south_west.latitude && point.latitude <= north_east.latitude;
    bool east_of_west = point.longitude >= south_west.longitude;
    bool west_of_east = point.longitude <= north_east.longitude;
    bool crosses = south_west.longitude > north_east.longitude;
    return latitude_fits && (crosses ? east_of_west || west_of_east : east_of_west && west_of_east);
}

bool geohash_point_valid(struct geo_point point)
{
    return geo_point_valid(point) && point.longitude >= -180.0 && point.longitude <= 180.0;
}

struct range {
    double low;
    double high;
};

/* The half that holds the degrees; 1 = the upper one, which has the border. */
static unsigned halve(struct range *range, double degrees)
{
    double middle = (range->low + range->high) / 2.0;
    if (degrees >= middle) {
        range->low = middle;
        return 1;
    }
    range->high = middle;
    return 0;
}

void geohash_write(struct geo_point point, int count, uint8_t *characters)
{
    static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    struct range latitudes = {-90.0, 90.0};
    struct range longitudes = {-180.0, 180.0};
    unsigned bits = 0;
    CHECK(geohash_point_valid(point));
    CHECK(count >= 1 && count <= GEOHASH_CHARACTERS_MAX);
    for (int i = 0; i < count * 5; i++) {
        unsigned bit =
            i % 2 == 0 ? halve(&longitudes, point.longitude) : halve(&latitudes, point.latitude);
        bits = (bits << 1 | bit) & 31;
        if (i % 5 == 4) {
            characters[i / 5] = (uint8_t)alphabet[bits];
        }
    }
}
