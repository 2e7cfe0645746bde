import sys; sys.path.insert(0,'/tmp/diag')
import numpy as np, time, torch
from count import *
rng=np.random.default_rng(0); n=524288
k=rng.choice(3,n,p=[.9772,.0114,.0114]); z=rng.normal(size=(n,2))
x=np.where((k==0)[:,None], z*[.09,.008], z*[.08,.01]+np.where(k==1,1,-1)[:,None]*[1.37,.083])
for _ in range(3): t=time.time(); b=count_blobs(torch.tensor(x).float()); t=time.time()-t; print('time',t)
print(b)
def show(nm,x):
    t=time.time()
    try: b=count_blobs(x); print(nm,round(time.time()-t,3),b.count,b.shares,b.ratio,b.significance.round(1),len(b.candidates))
    except Exception as e: print(nm,type(e).__name__,e)
show('equal',np.ones((1000,2))); show('const axis 3',x*[1,0]); show('const axis e0',x*[0,1]); show('collinear 3',x[:,:1]*[1,.03]); 
show('nan',np.array([[np.nan,1],[1,2]])); show('inf',np.array([[np.inf,1],[1,2]])); show('empty',np.zeros((0,2))); show('shape',np.zeros((5,3))); show('one',np.zeros((1,2))); show('3 pts',rng.normal(size=(3,2)))
for m in (16,20,50,100,500,2000):
    c=[count_blobs(rng.normal(size=(m,2))).count for _ in range(60)]; c2=[count_blobs(rng.standard_t(2,size=(m,2))).count for _ in range(60)]; print(m,np.bincount(c),np.bincount(c2))
E=np.zeros((512,1024)); E[np.arange(512),np.arange(512)]=1; 
e=E*rng.normal(1,.05,E.shape); d=E*rng.normal(.5,.05,E.shape); show('one unit/input exact zeros',np.stack([e.ravel(),d.ravel()],1))
show('one unit/input delta', np.stack([E.ravel()*1.3,E.ravel()*.5],1))
show('cauchy',rng.standard_cauchy(size=(n,2))); show('cauchy round',rng.normal(size=(n,2))/np.abs(rng.normal(size=(n,1)))); show('uniform',rng.uniform(size=(n,2))); show('ring',(lambda t:np.stack([np.cos(t),np.sin(t)],1)+.05*rng.normal(size=(n,2)))(rng.uniform(0,6.28318,n)))
show('two long', np.where((k==k)[:,None], (z*[.25,.0008])@np.array([[1,.012],[0,1]])+np.where(rng.random(n)<.5,1,-1)[:,None]*[.45,.0052],0))
y=rng.normal(size=(n,2)); y[0]=[1e6,1e6]; show('outlier',y); y[0]=[1e15,0]; show('outlier e15',y)
show('1e-30',x*1e-30); show('shift',x+1e3); show('rounded',np.round(rng.normal(size=(n,2)),1)); show('tiny three 2048',x[:2048]); show('three 8192',x[:8192]); show('three 32768',x[:32768]); show('2M',np.concatenate([x]*4))
import cProfile,pstats
p=cProfile.Profile(); p.enable(); count_blobs(x); p.disable(); pstats.Stats(p).sort_stats('tottime').print_stats(12)
