import './styles/tokens.css';
import './styles/base.css';
import './styles/parts.css';
import { registerSW } from 'virtual:pwa-register';
import { mount } from 'svelte';
import App from './App.svelte';

registerSW({ immediate: true });

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');

export default mount(App, { target });
