// Attention over pages of keys and values (PagedAttention, arXiv 2309.06180), for processors.
//
// Stores N new positions, then lets each of them attend to positions lo..hi of its request. One page of one head is
// PAGE x d contiguous floats; softmax is taken page by page (Milakov and Gimelshein, arXiv 1805.02867).
#include <math.h>
#include <stdint.h>
#include <string.h>

#define PAGE 16
#define LARGEST_HEAD 512

void paged_attention(const float *q, const float *k, const float *v, float *out, float *keys, float *values,
                     const int64_t *slots, const int32_t *rows, const int32_t *lo, const int32_t *hi,
                     const int32_t *tables, int64_t table_width, int64_t N, int64_t H, int64_t G, int64_t d) {
    const float scale = 1.0f / sqrtf((float)d);
#pragma omp parallel
    {
#pragma omp for
        for (int64_t n = 0; n < N; n++) {
            const int64_t page = slots[n] / PAGE, slot = slots[n] % PAGE;
            for (int64_t g = 0; g < G; g++) {
                const int64_t at = ((page * G + g) * PAGE + slot) * d;
                memcpy(keys + at, k + (n * G + g) * d, d * sizeof(float));
                memcpy(values + at, v + (n * G + g) * d, d * sizeof(float));
            }
        }
#pragma omp for collapse(2) schedule(dynamic, 16)
        for (int64_t n = 0; n < N; n++) {
            for (int64_t h = 0; h < H; h++) {
                const float *query = q + (n * H + h) * d;
                const int32_t *table = tables + rows[n] * table_width;
                const int64_t g = h / (H / G);
                float sum = 0.0f, most = -INFINITY, mean[LARGEST_HEAD];
                for (int64_t i = 0; i < d; i++) mean[i] = 0.0f;
                for (int64_t p = lo[n] / PAGE; p <= hi[n] / PAGE; p++) {
                    const int64_t at = ((int64_t)table[p] * G + g) * PAGE * d;
                    const int64_t from = p * PAGE < lo[n] ? lo[n] - p * PAGE : 0;
                    const int64_t to = (p + 1) * PAGE > hi[n] + 1 ? hi[n] + 1 - p * PAGE : PAGE;
                    float score[PAGE], highest = most;
                    for (int64_t j = from; j < to; j++) {
                        const float *key = keys + at + j * d;
                        float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
                        for (int64_t i = 0; i < d; i++) dot += query[i] * key[i];
                        score[j] = dot * scale;
                        if (score[j] > highest) highest = score[j];
                    }
                    if (highest > most) {
                        const float shrink = most == -INFINITY ? 0.0f : expf(most - highest);
                        sum *= shrink;
                        for (int64_t i = 0; i < d; i++) mean[i] *= shrink;
                        most = highest;
                    }
                    for (int64_t j = from; j < to; j++) score[j] = expf(score[j] - most);
                    for (int64_t j = from; j < to; j++) {
                        const float *value = values + at + j * d;
                        const float weight = score[j];
                        sum += weight;
#pragma omp simd
                        for (int64_t i = 0; i < d; i++) mean[i] += weight * value[i];
                    }
                }
                float *y = out + (n * H + h) * d;
                for (int64_t i = 0; i < d; i++) y[i] = mean[i] / sum;
            }
        }
    }
}
