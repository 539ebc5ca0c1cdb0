"""A trial: a discriminator of small heads on the frozen features of VGG16 (HED), after Projected GANs (Sauer et al. 2021).

    python projected.py STEPS SCALE POOL START OUT
"""
import sys, time, json, os
os.environ.setdefault("XLA_FLAGS", "")
steps, scale, pool, start, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
ratio = float(os.environ.get("RATIO", "1")); lr_g = float(os.environ.get("LRG", "2e-4")); perc = float(os.environ.get("PERC", "0")); warm = int(os.environ.get("WARM", "60"))
import jax; jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp, numpy as np, optax
from functools import partial
from pathlib import Path
from PIL import Image
from jax.sharding import Mesh, PartitionSpec as P
from swinir_jax import load_pretrained, save_pretrained, cpu
from swinir_jax.features import load_features
from swinir_jax.features import vgg

P_LR, B = 32, 4
rng = np.random.default_rng(0)
info = json.loads((Path(pool)/"pool.json").read_text())
lqs = sorted((Path(pool)/"LQ").glob("*.png")); hqs = sorted((Path(pool)/"HQ").glob("*.png"))
print(len(lqs), len(hqs), list(info)[:8], flush=True)
def load(f): return np.asarray(Image.open(f).convert("RGB"))
HQ = {f.stem: load(f) for f in hqs}
LQ = [(f.stem, load(f)) for f in lqs]
pairs = [(l, HQ[s] if s in HQ else HQ[s[:5]]) for s, l in LQ]
assert all(l.shape[0]*scale == h.shape[0] for l, h in pairs[:50]), (pairs[0][0].shape, pairs[0][1].shape)

def batch():
    lq, hq = [], []
    for _ in range(B):
        l, h = pairs[rng.integers(len(pairs))]
        i, j = rng.integers(l.shape[0]-P_LR+1), rng.integers(l.shape[1]-P_LR+1)
        a = l[i:i+P_LR, j:j+P_LR]; b = h[i*scale:(i+P_LR)*scale, j*scale:(j+P_LR)*scale]
        k = rng.integers(8)
        if k & 1: a, b = a[::-1], b[::-1]
        if k & 2: a, b = a[:, ::-1], b[:, ::-1]
        if k & 4: a, b = a.swapaxes(0, 1), b.swapaxes(0, 1)
        lq.append(a); hq.append(b)
    return np.stack(lq).astype(np.float32)/255, np.stack(hq).astype(np.float32)/255

net = load_pretrained(start); model, params = net[0], net[1]
cfg = model.config
params = jax.tree.map(jnp.asarray, params)
feats = load_features("vgg16_hed")
OUT = ("conv2_2", "conv3_3"); CH = (128, 256)
def features(fp, x):
    x = x[..., ::-1]*255 - jnp.asarray(vgg._HED_MEAN, x.dtype)
    return vgg._features(fp, x, (2, 2, 3), OUT, True, jnp.float32)

def init_head(key, c, w=64):
    k = jax.random.split(key, 3)
    he = lambda k, s: jax.random.normal(k, s)*np.sqrt(2/np.prod(s[:-1]))
    return {"a": he(k[0], (1, 1, c, w)), "ab": jnp.zeros(w), "b": he(k[1], (3, 3, w, w)), "bb": jnp.zeros(w), "c": he(k[2], (1, 1, w, 1)), "cb": jnp.zeros(1)}
heads = [init_head(k, c) for k, c in zip(jax.random.split(jax.random.key(1), len(CH)), CH)]
conv = lambda x, k, pad: cpu.convolve_padded(x, k, 1, ((pad, pad), (pad, pad)), jnp.float32)
lrelu = lambda x: jax.nn.leaky_relu(x, .2)
def judge(heads, fs, scales):
    outs = []
    for h, f, s in zip(heads, fs, scales):
        x = f/s
        x = lrelu(conv(x, h["a"], 0)+h["ab"]); x = lrelu(conv(x, h["b"], 1)+h["bb"])
        outs.append(conv(x, h["c"], 0)+h["cb"])
    return outs

def restore(p, lq): return cpu.restore(cpu.prepare(p, cfg, None, training=True), lq, cfg, jnp.float32, training=True)
mesh = Mesh(np.array(jax.devices()), ("b",))

def grads(params, heads, fp, scales, lq, hq, on):
    fake, back = jax.vjp(lambda p: restore(p, lq), params)
    l1 = lambda y: jnp.mean(jnp.abs(y-hq))
    fr = jax.lax.stop_gradient(features(fp, hq))
    def adv(y):
        fs = features(fp, y)
        logits = judge(heads, fs, scales)
        pl = sum(jnp.mean(jnp.abs(a-b)/s) for a, b, s in zip(fs, fr, scales))
        return sum(-jnp.mean(o) for o in logits)/len(CH), (fs, pl)
    loss1, g1 = jax.value_and_grad(l1)(fake)
    (a, (ff, pl)), ga = jax.value_and_grad(lambda y: (lambda r: (r[0]+0.0, r[1]))(adv(y)), has_aux=True)(fake)
    if perc:
        gp = jax.grad(lambda y: sum(jnp.mean(jnp.abs(u-v)/s) for u, v, s in zip(features(fp, y), fr, scales)))(fake)
    n = lambda g: jnp.sqrt(jax.lax.pmean(jnp.sum(g*g), "b"))
    g = g1 + on*ratio*n(g1)/(n(ga)+1e-12)*ga
    if perc: g = g + perc*n(g1)/(n(gp)+1e-12)*gp
    gG, = back(g)
    ff = jax.lax.stop_gradient(ff)
    def dloss(h):
        lr_, lf = judge(h, fr, scales), judge(h, ff, scales)
        l = sum(jnp.mean(jax.nn.relu(1-o)) for o in lr_)/len(CH) + sum(jnp.mean(jax.nn.relu(1+o)) for o in lf)/len(CH)
        acc = sum(jnp.mean(o > 0) for o in lr_)/len(CH)/2 + sum(jnp.mean(o < 0) for o in lf)/len(CH)/2
        return l, acc
    (ld, acc), gD = jax.value_and_grad(dloss, has_aux=True)(heads)
    m = {"l1": loss1, "adv": a, "d": ld, "acc": acc, "pl": pl, "na/n1": n(ga)/n(g1)}
    return jax.lax.pmean((gG, gD, m), "b")
share = jax.shard_map(grads, mesh=mesh, in_specs=(P(), P(), P(), P(), P("b"), P("b"), P()), out_specs=P(), check_vma=False)
optg = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(lr_g, b1=.9, b2=.99))
optd = optax.adam(4e-4, b1=.5, b2=.99)
@partial(jax.jit, donate_argnums=(0,))
def step(st, fp, scales, lq, hq, on, rate):
    params, ema, og, heads, od = st
    gG, gD, m = share(params, heads, fp, scales, lq, hq, on)
    u, og2 = optg.update(gG, og, params)
    params = jax.tree.map(lambda p, d: p + on*rate*d, params, u)
    ema = jax.tree.map(lambda e, p: .99*e+.01*p, ema, params)
    u, od = optd.update(gD, od, heads); heads = optax.apply_updates(heads, u)
    return (params, ema, og2, heads, od), m
fp = jax.tree.map(jnp.asarray, feats)
lq, hq = batch()
scales = [jnp.std(f) for f in jax.jit(features)(fp, jnp.asarray(hq))]
print("scales", [float(s) for s in scales], flush=True)
st = (params, jax.tree.map(jnp.copy, params), optg.init(params), heads, optd.init(heads))
t0 = time.time(); acc = {}
for i in range(1, steps+1):
    lq, hq = batch()
    on = float(i > warm); rate = 1.0 if i < steps*.6 else max(0.05, (steps-i)/(steps*.4))
    st, m = step(st, fp, scales, lq, hq, on, rate)
    for k, v in m.items(): acc.setdefault(k, []).append(float(v))
    if i in (1, 5) or i % 20 == 0:
        print(i, {k: round(float(np.mean(v)), 4) for k, v in acc.items()}, f"{(time.time()-t0)/i:.2f} s/step", flush=True); acc = {}
    if i % 100 == 0 or i == steps:
        save_pretrained(f"{out}_{i}", model, jax.tree.map(np.asarray, st[1]))
