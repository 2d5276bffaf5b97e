import{$ as e,A as t,L as n,T as r,X as i,k as a,lt as o,n as s,ot as c,pt as l,q as u,tt as d,u as f,ut as p,y as m,z as h}from"./Page-L2lQVEoX.js";var g=h(`<!> `,1),_=h(`<pre tabindex="0" role="group"></pre>`);function v(h,v){p(v,!0);let y=f(v,`whole`,3,!1),b=c(()=>v.value.replace(/\r\n/g,`
`).replace(/\n$/,``).split(`
`));var x=_();let S;a(x,21,()=>u(b),t,(t,r)=>{var i=g(),a=e(i);s(a,{get value(){return u(r)},most:4e3});var o=d(a,1,!0);o.nodeValue=`
`,n(t,i)}),l(x),i(()=>{m(x,`aria-label`,v.label),S=r(x,1,`s3769128b`,null,S,{whole:y()})}),n(h,x),o()}export{v as t};