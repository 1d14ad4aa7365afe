// Entry point: styles, fonts, and the console mounted on the page.
import { mount } from 'svelte';
import 'bootstrap-italia/dist/css/bootstrap-italia.min.css';
import './styles/fonts.css';
import './styles/app.css';
import App from './App.svelte';
import { i18n } from './i18n/i18n.svelte';

document.documentElement.lang = i18n.language;
const target = document.getElementById('app');
if (target) mount(App, { target });
