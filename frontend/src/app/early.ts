/**
 * Runs in the page's head, before the first paint and while the scripts are still on their way: the
 * theme, the direction of the chosen language, and what guests of the most visited pages will ask
 * the API for. `takeEarly` (api/early.ts) hands those answers out. Allowed by its hash.
 */
const API = (process.env.SERAI_API_ORIGIN ?? "").replace(/\/$/, "");

export const EARLY = `(function(){try{
var d=document.documentElement,s=localStorage,t=s.getItem("serai.theme"),l=s.getItem("serai.language");
d.dataset.theme=t||(matchMedia("(prefers-color-scheme: dark)").matches?"dark":"light");
if(l){d.lang=l;if(l=="ar")d.dir="rtl"}
if(s.getItem("serai.signed-in")||location.search)return;
var p=location.pathname,m,a="/api/v1/",u=[];
if(p=="/")u=["feeds/home?sort=hot&window=month&limit=25","countries"];
else if(m=/^\\/communities\\/([a-z0-9-]+)$/.exec(p))u=["communities/"+m[1],"communities/"+m[1]+"/feed?sort=hot&window=month&limit=25"];
else if(m=/^\\/posts\\/([0-9a-f-]{36})$/.exec(p))u=["posts/"+m[1],"posts/"+m[1]+"/comments?sort=best&limit=200"];
var e=window.seraiEarly={};
u.forEach(function(x){(e[a+x]=fetch("${API}"+a+x,{credentials:"include"})).catch(function(){})});
}catch(e){}})()`;
