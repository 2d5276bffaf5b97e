import { mount } from 'svelte'
import './style.css'
import App from './shell/App.svelte'
import { startTheme } from './lib/theme.svelte'

startTheme()
mount(App, { target: document.getElementById('console')! })
