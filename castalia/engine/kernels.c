// The model's step on a processor: blocks, their products, and attention over pages of keys and values (PagedAttention,
// arXiv 2309.06180).
//
// One page of one head is PAGE x d contiguous floats; softmax is taken page by page (Milakov and Gimelshein, arXiv
// 1805.02867). `paged_attention` is attention alone; `blocks` is a whole stack of blocks.
// PAGE, PANEL and LARGEST_HEAD are given by kernel.py.
#include <math.h>
#include <stdint.h>
#include <string.h>


// What N new positions may see, and where they are stored: see Reach in kernel.py. Without `lo` everything is seen from 0.
typedef struct {
    float *keys, *values;
    const int64_t *slots, *rows, *lo, *hi;
    const int32_t *tables;
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
    const int64_t d = r->d, g = h / (r->H / r->G), lo = r->lo ? r->lo[n] : 0, hi = r->hi[n];
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

// Blocks: see Block in model/decoder.py, whose arithmetic this is.
typedef struct {
    int64_t layers, D, F;    // blocks, width of the residual stream, hidden width of the MLP
    const float *cos, *sin;  // of rotary angles, [N, d/2]
    const float *embedded;   // value embeddings [N, G*d]
    int32_t qk_norm, gated;
} Stack;

// What one block has for itself.
typedef struct {
    const float *inward, *outward;  // weights of its two products, in panels
    float *keys, *values;           // its pages
    float mix;                      // how much of the value embeddings is added
    int32_t rotary, window, embedded;
} Layer;

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
    for (int64_t i = 0; i < d / 2 && cos; i++) {
        const float a = x[i], b = x[i + d / 2];
        x[i] = a * cos[i] - b * sin[i];
        x[i + d / 2] = a * sin[i] + b * cos[i];
    }
}

// Products. Weights lie in panels of PANEL columns, [I / PANEL, K, PANEL], the last filled up with zeros, so that they are
// read in order, while the sums of ROWS rows stay in registers: few rows take as long as the weights take to be read.
// LANES is what one register of this processor holds; wider vectors would be taken apart, number by number.
#if defined(__AVX512F__)
#define LANES 16
#define ROWS 8
#elif defined(__AVX__)
#define LANES 8
#define ROWS 6
#else
#define LANES 4
#define ROWS 6
#endif
#define NEAR (8 * ROWS)  // rows that stay in the nearer caches while a panel meets them

typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// sums [rows, PANEL] = x [rows, K] @ panel [K, PANEL], as many columns at a time as two registers hold.
static inline __attribute__((always_inline)) void
sum_panel(int rows, const float *x, const float *panel, int64_t K, float *sums) {
    for (int column = 0; column < PANEL; column += 2 * LANES) {
        Lanes sum[ROWS][2] = {0};
        for (int64_t k = 0; k < K; k++) {
            const Lanes *weights = (const Lanes *)(panel + k * PANEL + column);
            for (int n = 0; n < rows; n++)
                for (int i = 0; i < 2; i++) sum[n][i] += x[n * K + k] * weights[i];
        }
        for (int n = 0; n < rows; n++) memcpy(sums + n * PANEL + column, sum[n], sizeof sum[n]);
    }
}

// y [N, I] = x [N, K] @ weights, or `add`ed to what is there.
static void multiply(const float *x, const float *panels, float *y, int64_t N, int64_t K, int64_t I, int add) {
#pragma omp for collapse(2)
    for (int64_t near = 0; near < N; near += NEAR)
        for (int64_t p = 0; p < (I + PANEL - 1) / PANEL; p++) {
            const int64_t columns = I - p * PANEL < PANEL ? I - p * PANEL : PANEL;
            const float *panel = panels + p * K * PANEL;
            for (int64_t n = near; n < N && n < near + NEAR; n += ROWS) {
                float sums[ROWS * PANEL];
                const int64_t rows = N - n < ROWS ? N - n : ROWS;
                switch (rows) {  // a constant number each, so that the sums are registers
#define SUM(count) sum_panel(count < ROWS ? count : ROWS, x + n * K, panel, K, sums); break
                case 1: SUM(1);
                case 2: SUM(2);
                case 3: SUM(3);
                case 4: SUM(4);
                case 5: SUM(5);
                case 6: SUM(6);
                case 7: SUM(7);
                default: SUM(ROWS);
#undef SUM
                }
                for (int64_t r = 0; r < rows; r++) {
                    float *to = y + (n + r) * I + p * PANEL;
                    for (int64_t i = 0; i < columns; i++) to[i] = sums[r * PANEL + i] + (add ? to[i] : 0.0f);
                }
            }
        }
}

// The inside of a block, between its two products. in [N, (H + 2 G) d + F + H] is the product of x [N, D] with the weights of
// queries, keys, values, the MLP and the gate. Only here is x normed: a row's scale may come after the product. out
// [N, H d + F] is what the second product takes.
static void inside(const float *x, float *in, float *out, const Stack *s, const Layer *layer, const Reach *r) {
    const int64_t queries = r->H * r->d, keys = r->G * r->d, half = r->d / 2;
    const int64_t width = queries + 2 * keys + s->F + (s->gated ? r->H : 0);
#pragma omp for
    for (int64_t n = 0; n < r->N; n++) {
        const float scale = scale_of(x + n * s->D, s->D);
        const float *cos = layer->rotary ? s->cos + n * half : NULL, *sin = s->sin + n * half;
        float *q = in + n * width, *k = q + queries, *v = k + keys, *up = v + keys;
        float *active = out + n * (queries + s->F) + queries;
        for (int64_t i = 0; i < width; i++) q[i] *= scale;
        for (int64_t h = 0; h < r->H; h++) turn(q + h * r->d, r->d, cos, sin, s->qk_norm);
        for (int64_t g = 0; g < r->G; g++) turn(k + g * r->d, r->d, cos, sin, s->qk_norm);
        for (int64_t i = 0; i < keys && layer->embedded; i++) v[i] += layer->mix * s->embedded[n * keys + i];
        store(r, n, k, v);
        for (int64_t i = 0; i < s->F; i++) active[i] = up[i] > 0.0f ? up[i] * up[i] : 0.0f;
    }
    const int chunk = r->N < ROWS ? 1 : 16;
#pragma omp for collapse(2) schedule(dynamic, chunk)
    for (int64_t n = 0; n < r->N; n++)
        for (int64_t h = 0; h < r->H; h++) {
            float *y = out + n * (queries + s->F) + h * r->d;
            attend(r, n, h, in + n * width + h * r->d, y);
            if (!s->gated) continue;
            const float gate = 1.0f / (1.0f + expf(-in[n * width + queries + 2 * keys + s->F + h]));
            for (int64_t i = 0; i < r->d; i++) y[i] *= gate;
        }
}

// Runs x [N, D] through all blocks; `in` and `out` are room for what `inside` says.
void blocks(float *x, float *in, float *out, const Stack *stack, const Layer *layers, const Reach *reach) {
    const Stack s = *stack;
    const int64_t queries = reach->H * reach->d;
    const int64_t width = queries + 2 * reach->G * reach->d + s.F + (s.gated ? reach->H : 0);
#pragma omp parallel
    for (int64_t i = 0; i < s.layers; i++) {
        const Layer *layer = layers + i;
        Reach r = *reach;
        r.keys = layer->keys, r.values = layer->values;
        r.lo = layer->window ? reach->lo : NULL;
        multiply(x, layer->inward, in, r.N, s.D, width, 0);
        inside(x, in, out, &s, layer, &r);
        multiply(out, layer->outward, x, r.N, queries + s.F, s.D, 1);
    }
}
