// Attention over pages of keys and values (PagedAttention, arXiv 2309.06180), for processors.
//
// One page of one head is PAGE x d contiguous floats; softmax is taken page by page (Milakov and Gimelshein, arXiv
// 1805.02867). `paged_attention` is attention alone; `block` is all of a block but its two products.
#include <math.h>
#include <stdint.h>
#include <string.h>

#define PAGE 16
#define LARGEST_HEAD 512

// What N new positions may see, and where they are stored: see Reach in kernel.py.
typedef struct {
    float *keys, *values;
    const int64_t *slots;
    const int32_t *rows, *lo, *hi, *tables;
    int64_t table_width, N, H, G, d;
} Reach;

static void store(const Reach *r, int64_t n, const float *k, const float *v) {
    const int64_t page = r->slots[n] / PAGE, slot = r->slots[n] % PAGE;
    for (int64_t g = 0; g < r->G; g++) {
        const int64_t at = ((page * r->G + g) * PAGE + slot) * r->d;
        memcpy(r->keys + at, k + g * r->d, r->d * sizeof(float));
        memcpy(r->values + at, v + g * r->d, r->d * sizeof(float));
    }
}

// Writes to y what position n's head h reads from positions lo..hi of its request.
static void attend(const Reach *r, int64_t n, int64_t h, const float *query, float *y) {
    const int64_t d = r->d, g = h / (r->H / r->G), lo = r->lo[n], hi = r->hi[n];
    const int32_t *table = r->tables + r->rows[n] * r->table_width;
    const float scale = 1.0f / sqrtf((float)d);
    float sum = 0.0f, most = -INFINITY, mean[LARGEST_HEAD];
    for (int64_t i = 0; i < d; i++) mean[i] = 0.0f;
    for (int64_t p = lo / PAGE; p <= hi / PAGE; p++) {
        const int64_t at = ((int64_t)table[p] * r->G + g) * PAGE * d;
        const int64_t from = p * PAGE < lo ? lo - p * PAGE : 0;
        const int64_t to = (p + 1) * PAGE > hi + 1 ? hi + 1 - p * PAGE : PAGE;
        float score[PAGE], highest = most;
        for (int64_t j = from; j < to; j++) {
            const float *key = r->keys + at + j * d;
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
            const float *value = r->values + at + j * d;
            const float weight = score[j];
            sum += weight;
#pragma omp simd
            for (int64_t i = 0; i < d; i++) mean[i] += weight * value[i];
        }
    }
    for (int64_t i = 0; i < d; i++) y[i] = mean[i] / sum;
}

void paged_attention(const float *q, const float *k, const float *v, float *out, const Reach *reach) {
    const Reach r = *reach;
#pragma omp parallel
    {
#pragma omp for
        for (int64_t n = 0; n < r.N; n++) store(&r, n, k + n * r.G * r.d, v + n * r.G * r.d);
#pragma omp for collapse(2) schedule(dynamic, 16)
        for (int64_t n = 0; n < r.N; n++)
            for (int64_t h = 0; h < r.H; h++) attend(&r, n, h, q + (n * r.H + h) * r.d, out + (n * r.H + h) * r.d);
    }
}

// Inside of a block: see Block in model/decoder.py, whose arithmetic this is.
typedef struct {
    int64_t D, F;            // width of the residual stream, hidden width of the MLP
    const float *cos, *sin;  // [N, d/2]; NULL in layers without positions
    const float *embedded;   // value embeddings [N, G*d], or NULL
    float mix;               // how much of them
    int32_t qk_norm, gated;
} Inside;

static float scale_of(const float *x, int64_t width) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; i++) sum += x[i] * x[i];
    return 1.0f / sqrtf(sum / width + 1.1920929e-07f);
}

static void turn(float *x, int64_t d, const float *cos, const float *sin, int32_t normed) {
    if (normed) {
        const float scale = scale_of(x, d);
        for (int64_t i = 0; i < d; i++) x[i] *= scale;
    }
    for (int64_t i = 0; cos && i < d / 2; i++) {
        const float a = x[i], b = x[i + d / 2];
        x[i] = a * cos[i] - b * sin[i];
        x[i + d / 2] = a * sin[i] + b * cos[i];
    }
}

// x [N, D] is the residual stream; in [N, (H + 2 G) d + F + H] its product with the weights of queries, keys, values, the
// MLP and the gate. Only here is x normed: a row's scale may come after the product. out [N, H d + F] is what the second
// product takes.
void block(const float *x, float *in, float *out, const Reach *reach, const Inside *inside) {
    const Reach r = *reach;
    const Inside b = *inside;
    const int64_t queries = r.H * r.d, keys = r.G * r.d, half = r.d / 2;
    const int64_t width = queries + 2 * keys + b.F + (b.gated ? r.H : 0);
#pragma omp parallel
    {
#pragma omp for
        for (int64_t n = 0; n < r.N; n++) {
            const float scale = scale_of(x + n * b.D, b.D);
            const float *cos = b.cos ? b.cos + n * half : NULL, *sin = b.sin ? b.sin + n * half : NULL;
            float *q = in + n * width, *k = q + queries, *v = k + keys, *up = v + keys;
            float *active = out + n * (queries + b.F) + queries;
            for (int64_t i = 0; i < width; i++) q[i] *= scale;
            for (int64_t h = 0; h < r.H; h++) turn(q + h * r.d, r.d, cos, sin, b.qk_norm);
            for (int64_t g = 0; g < r.G; g++) turn(k + g * r.d, r.d, cos, sin, b.qk_norm);
            for (int64_t i = 0; b.embedded && i < keys; i++) v[i] += b.mix * b.embedded[n * keys + i];
            store(&r, n, k, v);
            for (int64_t i = 0; i < b.F; i++) active[i] = up[i] > 0.0f ? up[i] * up[i] : 0.0f;
        }
#pragma omp for collapse(2) schedule(dynamic, 16)
        for (int64_t n = 0; n < r.N; n++) {
            for (int64_t h = 0; h < r.H; h++) {
                float *y = out + n * (queries + b.F) + h * r.d;
                attend(&r, n, h, in + n * width + h * r.d, y);
                if (!b.gated) continue;
                const float gate = 1.0f / (1.0f + expf(-in[n * width + queries + 2 * keys + b.F + h]));
                for (int64_t i = 0; i < r.d; i++) y[i] *= gate;
            }
        }
    }
}
