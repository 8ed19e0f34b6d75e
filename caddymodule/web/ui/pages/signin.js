// Signing in with a key. Whoever comes from an application opens a link instead.
import { html } from '../vendor/preact-htm.js';
import { post } from '../api.js';
import { go, href } from '../router.js';
import { Card, Field, Form } from '../parts.js';

export default function SignIn({ session, onDone }) {
  const send = async ({ key }) => {
    await post('v1/session', { key }).catch(e => {
      throw e.status === 401 ? new Error('This key is not valid here: it is mistyped, revoked or expired.') : e;
    });
    if (session.refused && session.refused.status === 403) go(href('', { account: '' }), { replace: true });
    await onDone();
  };
  return html`<main class="solo"><h1 id="title" tabindex="-1">${session.brand.name || 'Farebox'}</h1>
    ${session.ended && html`<p class="note" role="status">Your session has ended. Sign in again to continue.</p>`}
    ${session.refused && session.refused.status === 403 && html`<p class="note bad" role="alert">This session has no access to that account. Sign in with one of its keys.</p>`}
    <div class="cards"><${Card} title="Sign in"><${Form} submit="Sign in" onSubmit=${send}>
      <${Field} label="API key" name="key" type="password" autocomplete="current-password" required placeholder="fb_live_…"
        hint=${session.console ? 'An API key of your account, or an operator key (fb_op_…).' : 'Any API key of your account. The browser does not store it.'} /><//><//></div></main>`;
}
