import{C as e,D as t,I as n,K as r,O as i,P as a,W as o,Y as s,Z as c,at as l,ct as u,it as d,l as f,n as p,nt as m,v as h}from"./Page-BUvXnvNd.js";var g=n(`<!> `,1),_=n(`<pre tabindex="0" role="group"></pre>`);function v(n,v){l(v,!0);let y=f(v,`whole`,3,!1),b=m(()=>v.value.replace(/\r\n/g,`
`).replace(/\n$/,``).split(`
`));var x=_();let S;t(x,21,()=>o(b),i,(e,t)=>{var n=g(),r=s(n);p(r,{get value(){return o(t)},most:4e3});var i=c(r,1,!0);i.nodeValue=`
`,a(e,n)}),u(x),r(()=>{h(x,`aria-label`,v.label),S=e(x,1,`s3769128b`,null,S,{whole:y()})}),a(n,x),d()}export{v as t};