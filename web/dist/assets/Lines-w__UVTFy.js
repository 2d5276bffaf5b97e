import{A as e,L as t,Q as n,T as r,Y as i,at as a,ct as o,dt as s,et as c,k as l,n as u,q as d,st as f,u as p,y as m,z as h}from"./Page-CBTxWT5J.js";var g=h(`<!> `,1),_=h(`<pre tabindex="0" role="group"></pre>`);function v(h,v){o(v,!0);let y=p(v,`whole`,3,!1),b=a(()=>v.value.replace(/\r\n/g,`
`).replace(/\n$/,``).split(`
`));var x=_();let S;l(x,21,()=>d(b),e,(e,r)=>{var i=g(),a=n(i);u(a,{get value(){return d(r)},most:4e3});var o=c(a,1,!0);o.nodeValue=`
`,t(e,i)}),s(x),i(()=>{m(x,`aria-label`,v.label),S=r(x,1,`s3769128b`,null,S,{whole:y()})}),t(h,x),f()}export{v as t};