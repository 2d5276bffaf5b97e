import{A as e,B as t,E as n,J as r,R as i,Z as a,b as o,dt as s,et as c,j as l,mt as u,nt as d,r as f,st as p,u as m,ut as h}from"./Page-AL9JPPRx.js";var g=t(`<!> `,1),_=t(`<pre tabindex="0" role="group"></pre>`);function v(t,v){s(v,!0);let y=m(v,`whole`,3,!1),b=p(()=>v.value.replace(/\r\n/g,`
`).replace(/\n$/,``).split(`
`));var x=_();let S;e(x,21,()=>r(b),l,(e,t)=>{var n=g(),a=c(n);f(a,{get value(){return r(t)},most:4e3});var o=d(a,1,!0);o.nodeValue=`
`,i(e,n)}),u(x),a(()=>{o(x,`aria-label`,v.label),S=n(x,1,`s3769128b`,null,S,{whole:y()})}),i(t,x),h()}export{v as t};