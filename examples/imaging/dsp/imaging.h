/* The interface "imaging": what the program and the DSP module agree on.
 *
 * An image has 8 bits per pixel, `height` lines of `stride` bytes of which the first `width` are pixels; its buffer has
 * exactly stride * height bytes. Every method starts with one input of packed u32: width, height, stride (USERSPACE
 * 2.3; a longer one is accepted). 1 <= width <= stride <= 65536, 1 <= height <= 65536.
 *
 *   method        inputs       outputs            result
 *   histogram 2   prim, image  256 u32            how often each value occurs among the pixels
 *   sobel     3   prim, image  image, same shape  min(255, |gx| + |gy|), gx and gy of the 3x3 Sobel kernels
 *   dilate    4   prim, image  image, same shape  the largest of the 3x3 pixels around
 *
 * At the borders the nearest pixel stands for one outside. The bytes of an output line after its pixels become 0.
 * Input and output may not overlap. Any mismatch is answered with AEE_EBADPARM, and then nothing is written.
 */
#ifndef FASTRPC_EXAMPLES_IMAGING_H
#define FASTRPC_EXAMPLES_IMAGING_H

enum imaging_method {
    IMAGING_HISTOGRAM = 2,
    IMAGING_SOBEL = 3,
    IMAGING_DILATE = 4,
};

#endif
