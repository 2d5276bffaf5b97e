import{$ as e,A as t,L as n,T as r,X as i,ct as a,ft as o,k as s,lt as c,n as l,ot as u,q as d,tt as f,u as p,y as m,z as h}from"./Page-DMLGBo55.js";var g=h(`<!> `,1),_=h(`<pre tabindex="0" role="group"></pre>`);function v(h,v){c(v,!0);let y=p(v,`whole`,3,!1),b=u(()=>v.value.replace(/\r\n/g,`
`).replace(/\n$/,``).split(`
`));var x=_();let S;s(x,21,()=>d(b),t,(t,r)=>{var i=g(),a=e(i);l(a,{get value(){return d(r)},most:4e3});var o=f(a,1,!0);o.nodeValue=`
`,n(t,i)}),o(x),i(()=>{m(x,`aria-label`,v.label),S=r(x,1,`s3769128b`,null,S,{whole:y()})}),n(h,x),a()}export{v as t};