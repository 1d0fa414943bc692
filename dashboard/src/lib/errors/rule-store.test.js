import { expect, it, vi } from 'vitest';

vi.mock('$env/dynamic/public', () => ({ env: {} }));
vi.mock('$lib/supabase.js', () => ({ createClient: () => ({}) }));

const { copyOf } = await import('./rule-store.js');

it('copies what a rule watches and says, and not which rule it is', () => {
	const own = {
		rule_id: 'r',
		created_at: 'x',
		updated_at: 'x',
		managed_by: 'rules.yaml',
		template_error: 'x'
	};
	const watched = {
		metric: 'burn_rate',
		enabled: false,
		burn_windows: [{ factor: 2 }],
		flap_count: 4,
		flap_seconds: 600,
		title_template: 't',
		body_template: 'b'
	};
	expect(copyOf({ ...own, ...watched, name: 'Budget' })).toEqual({
		...watched,
		name: 'Budget (copy)'
	});
});
