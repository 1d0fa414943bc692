// Kinds of channels: what each needs to be told, and what of it is secret. The database knows three
// kinds; a bot of Slack is a `slack` with a conversation, PagerDuty a `webhook` with a format.

/**
 * @typedef {object} Variant
 * @property {string} label
 * @property {'slack' | 'mail' | 'webhook' | 'bell'} icon
 * @property {string} kind As in alert_channels.
 * @property {{ field: string, label: string, placeholder: string } | null} secret
 */

/** @type {Record<string, Variant>} */
export const VARIANTS = {
	slack: {
		label: 'Slack',
		icon: 'slack',
		kind: 'slack',
		secret: {
			field: 'webhook_url',
			label: 'Address of the incoming webhook',
			placeholder: 'https://hooks.slack.com/services/…'
		}
	},
	slack_bot: {
		label: 'Slack, by a bot',
		icon: 'slack',
		kind: 'slack',
		secret: { field: 'bot_token', label: 'Bot token', placeholder: 'xoxb-…' }
	},
	email: { label: 'E-mail', icon: 'mail', kind: 'email', secret: null },
	webhook: {
		label: 'Webhook',
		icon: 'webhook',
		kind: 'webhook',
		secret: { field: 'signing_secret', label: 'Signing secret', placeholder: 'whsec_…' }
	},
	pagerduty: {
		label: 'PagerDuty',
		icon: 'bell',
		kind: 'webhook',
		secret: { field: 'routing_key', label: 'Integration key', placeholder: '32 characters' }
	}
};

/** Which variant a channel is. @param {{ kind: string, config: any }} channel */
export function variantOf({ kind, config }) {
	if (kind === 'slack' && config?.channel) return 'slack_bot';
	if (kind === 'webhook' && config?.format === 'pagerduty') return 'pagerduty';
	return kind in VARIANTS ? kind : 'webhook';
}

/**
 * The configuration that a form's fields say.
 * @param {string} variant
 * @param {FormData} form
 */
export function configOf(variant, form) {
	const one = (/** @type {string} */ name) => String(form.get(name) ?? '').trim();
	switch (variant) {
		case 'email':
			return {
				to: one('config_to')
					.split(/[\s,;]+/)
					.filter(Boolean)
			};
		case 'webhook':
			return { url: one('config_url') };
		case 'pagerduty':
			return { format: 'pagerduty', region: one('config_region') === 'eu' ? 'eu' : 'us' };
		case 'slack_bot':
			return { channel: one('config_channel') };
		default:
			return {};
	}
}

/** Where a channel leads, in words. @param {{ kind: string, config: any }} channel */
export function destination(channel) {
	const { config } = channel;
	switch (variantOf(channel)) {
		case 'email':
			return (config?.to ?? []).join(', ');
		case 'webhook':
			return config?.url ?? '';
		case 'slack_bot':
			return `conversation ${config.channel}`;
		case 'pagerduty':
			return `region ${config.region ?? 'us'}`;
		default:
			return '';
	}
}
