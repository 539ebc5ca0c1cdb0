import sys, numpy as np
from pathlib import Path
from PIL import Image
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.inference.chain import NetworkChain
def grid(x):
    g=x.mean(-1); h,w=g.shape; g=g[:h//2*2,:w//2*2]
    k=np.array([.25,.5,.25]); b=np.apply_along_axis(lambda r:np.convolve(r,k,'same'),0,g); b=np.apply_along_axis(lambda r:np.convolve(r,k,'same'),1,b)
    d=(g-b)[4:-4,4:-4]
    return 255*np.std([[d[i::2,j::2].mean() for j in (0,1)] for i in (0,1)])
T=Path('TESTSETS/RealSRSet')
for m in sys.argv[1:]:
    n=NetworkChain([load_pretrained(m)],2,pad='reflect',tile='auto')
    v=[]
    for p in sorted(T.glob('*')):
        im=np.asarray(Image.open(p).convert('RGB'),np.float32)[:128,:128]/255
        v.append(grid(np.asarray(n.restore(im))))
    print(m,np.round(v,3),round(float(np.mean(v)),3))
