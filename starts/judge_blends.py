import sys
import numpy as np
from pathlib import Path
from swinir_jax import blend
from swinir_jax.evaluation.protocol import evaluate, average
from swinir_jax.evaluation.judging import judge, load_distance
from swinir_jax.tasks import real_sr, PAD
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.inference.chain import NetworkChain
dist=load_distance('efficientnet_lite0','WEIGHTS')
hq=sorted(Path('TESTSETS/McMaster').glob('*.*'))[1::4]
S=int(sys.argv[1]); m0,p0=load_pretrained(sys.argv[2]); m1,p1=load_pretrained(sys.argv[3])
for ch in sys.argv[5].split(','):
    task=real_sr(ch)
    for a in map(float,sys.argv[4].split(',')):
        net=NetworkChain([(m0,blend([(p0,1-a),(p1,a)]))],S,blend='average',tile='auto',pad=PAD,self_ensemble=False).restore
        av=average([judge(r,im,task,S,dist) for r,im in evaluate(task,S,net,[(p,None) for p in hq])])
        print(ch,a,{k:round(float(av[k]),3) for k in ('psnr_y','distance','niqe')},flush=True)
