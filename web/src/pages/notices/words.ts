import { words } from '../../lib/lang.svelte'

export const noticeKinds = words({
  notice: ['letter to an owner', 'lettre à un propriétaire'],
  bulletin: ['public bulletin', 'bulletin public'],
})
