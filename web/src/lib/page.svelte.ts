// moved says that the page came by a link: its heading takes the focus then.
export const page = $state({ moved: false })
