/* libimaging_skel.so: three image filters that run on the DSP (imaging.h).
 *
 * The caller's buffers are shared memory that it may change at any time: sizes come from the argument list alone, which
 * it can't reach, and the header is copied before it is checked.
 */
#include "examples/imaging/dsp/imaging.h"
#include "vdsp/skel.h"

#include <string.h>

typedef struct {
    uint32_t width, height, stride;
} shape;

enum { most = 65536, bins = 256 };

/* The handle of every open: the module keeps no state per open. */
static const char open_handle;

static const uint8_t* line_at(const uint8_t* image, const shape* s, uint32_t y) {
    return image + (size_t)y * s->stride;
}

static void histogram(const uint8_t* image, const shape* s, void* out) {
    uint32_t counts[bins] = {0};
    for (uint32_t y = 0; y < s->height; ++y) {
        const uint8_t* line = line_at(image, s, y);
        for (uint32_t x = 0; x < s->width; ++x) ++counts[line[x]];
    }
    memcpy(out, counts, sizeof counts);
}

/* The 3x3 pixels around one, lines from top to bottom; borders repeat. */
typedef struct {
    const uint8_t *above, *here, *below;
} lines;

static lines lines_around(const uint8_t* image, const shape* s, uint32_t y) {
    const lines three = {line_at(image, s, y > 0 ? y - 1 : 0), line_at(image, s, y),
                         line_at(image, s, y + 1 < s->height ? y + 1 : y)};
    return three;
}

static uint8_t sobel_at(const lines* l, uint32_t left, uint32_t x, uint32_t right) {
    const int gx = (l->above[right] + 2 * l->here[right] + l->below[right]) -
                   (l->above[left] + 2 * l->here[left] + l->below[left]);
    const int gy =
        (l->below[left] + 2 * l->below[x] + l->below[right]) - (l->above[left] + 2 * l->above[x] + l->above[right]);
    const int sum = (gx < 0 ? -gx : gx) + (gy < 0 ? -gy : gy);
    return (uint8_t)(sum > 255 ? 255 : sum);
}

static uint8_t largest(uint8_t a, uint8_t b) {
    return a > b ? a : b;
}

static uint8_t dilate_at(const lines* l, uint32_t left, uint32_t x, uint32_t right) {
    const uint8_t a = largest(largest(l->above[left], l->above[x]), l->above[right]);
    const uint8_t b = largest(largest(l->here[left], l->here[x]), l->here[right]);
    const uint8_t c = largest(largest(l->below[left], l->below[x]), l->below[right]);
    return largest(largest(a, b), c);
}

static void filter(const uint8_t* image, const shape* s, uint8_t* out,
                   uint8_t (*at)(const lines*, uint32_t, uint32_t, uint32_t)) {
    const uint32_t last = s->width - 1;
    for (uint32_t y = 0; y < s->height; ++y) {
        const lines three = lines_around(image, s, y);
        uint8_t* to = out + (size_t)y * s->stride;
        for (uint32_t x = 0; x <= last; ++x) to[x] = at(&three, x > 0 ? x - 1 : 0, x, x < last ? x + 1 : last);
        memset(to + s->width, 0, s->stride - s->width);
    }
}

static int overlap(const fastrpc_skel_arg* a, const fastrpc_skel_arg* b) {
    const uintptr_t first = (uintptr_t)a->buffer.data, second = (uintptr_t)b->buffer.data;
    return first < second ? second - first < a->buffer.size : first - second < b->buffer.size;
}

/* Reads the shape from the first input; 0 when it and the image fit together. */
static int read_shape(const fastrpc_skel_arg* args, shape* s) {
    if (args[0].buffer.size < sizeof *s || args[0].buffer.data == NULL) return -1;
    memcpy(s, args[0].buffer.data, sizeof *s);
    if (s->width == 0 || s->height == 0 || s->width > s->stride || s->stride > most || s->height > most) return -1;
    return args[1].buffer.data != NULL && args[1].buffer.size == (uint64_t)s->stride * s->height ? 0 : -1;
}

static int run(uint32_t method, fastrpc_skel_arg* args) {
    shape s;
    if (read_shape(args, &s) != 0 || args[2].buffer.data == NULL) return FASTRPC_SKEL_EBADPARM;
    const uint8_t* image = args[1].buffer.data;
    const size_t out_size = method == IMAGING_HISTOGRAM ? bins * sizeof(uint32_t) : args[1].buffer.size;
    if (args[2].buffer.size != out_size || overlap(&args[1], &args[2])) return FASTRPC_SKEL_EBADPARM;
    switch (method) {
    case IMAGING_HISTOGRAM:
        histogram(image, &s, args[2].buffer.data);
        break;
    case IMAGING_SOBEL:
        filter(image, &s, args[2].buffer.data, sobel_at);
        break;
    case IMAGING_DILATE:
        filter(image, &s, args[2].buffer.data, dilate_at);
        break;
    }
    return 0;
}

int imaging_skel_handle_invoke(uint64_t handle, uint32_t scalars, fastrpc_skel_arg* args) {
    const uint32_t method = FASTRPC_SKEL_METHOD(scalars);
    const uint32_t counts = scalars & 0xFFFFFFU;
    switch (method) {
    case 0: /* open */
        if (counts != 0x020001) return FASTRPC_SKEL_EBADPARM;
        args[2].handle = (uintptr_t)&open_handle;
        return 0;
    case 1: /* close */
        return counts == 0x000010 && args[0].handle == (uintptr_t)&open_handle ? 0 : FASTRPC_SKEL_EBADPARM;
    case IMAGING_HISTOGRAM:
    case IMAGING_SOBEL:
    case IMAGING_DILATE:
        if (counts != 0x020100 || handle != (uintptr_t)&open_handle) return FASTRPC_SKEL_EBADPARM;
        return run(method, args);
    default:
        return FASTRPC_SKEL_EUNSUPPORTED;
    }
}
