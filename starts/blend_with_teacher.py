import sys; sys.path.insert(0,'benchmarks')
import numpy as np
from pathlib import Path
from realesrgan import load
from swinir_jax.data.degradations import imresize
from swinir_jax.evaluation.protocol import evaluate, average
from swinir_jax.evaluation.judging import judge, load_distance
from swinir_jax.tasks import real_sr, PAD
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.inference.chain import NetworkChain
T=load(Path('MODELS')); dist=load_distance('efficientnet_lite0','WEIGHTS')
hq=sorted(Path('TESTSETS/McMaster').glob('*.*'))[1::4]
net=NetworkChain([load_pretrained('real_x2')],2,blend='average',tile='auto',pad=PAD,self_ensemble=False).restore
cache={}
def teacher(lq):
    k=lq.tobytes()
    if k not in cache: cache[k]=np.clip(imresize(T(lq),0.5),0,1).astype(np.float32)
    return cache[k]
def student(lq):
    k=(lq.tobytes(),'s')
    if k not in cache: cache[k]=np.array(net(lq))
    return cache[k]
for ch in ('photo','photo_strong'):
    task=real_sr(ch)
    for a in (0,0.25,0.5,1):
        f=lambda lq: (1-a)*student(lq)+a*teacher(lq) if a else student(lq)
        av=average([judge(r,im,task,2,dist) for r,im in evaluate(task,2,f,[(p,None) for p in hq])])
        print(ch,a,{k:round(float(av[k]),3) for k in ('psnr_y','psnr_y_bicubic','distance','distance_bicubic','niqe')},flush=True)
