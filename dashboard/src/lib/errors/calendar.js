// Silences and quiet hours as stretches on a calendar of days.

/** @typedef {{ id: string, kind: 'silence' | 'quiet' | 'maintenance', label: string, from: number, to: number, critical: boolean }} Stretch Times in milliseconds. */

const DAY = 86_400_000;

/**
 * When days begin, in milliseconds, by the clock of a time zone; one more than `days`, so that each
 * day has an end. Days with a change of the clock are an hour shorter or longer.
 * @param {number} now
 * @param {number} days
 * @param {string} zone
 */
export function dayStarts(now, days, zone) {
	const [year, month, day] = local(now, zone);
	return Array.from({ length: days + 1 }, (_, i) => instant(year, month, day + i, 0, 0, zone));
}

/**
 * Occurrences of quiet hours that touch a range.
 * @param {{ quiet_hours_id: string, name: string, kind: string, days: number[], starts: string, ends: string, time_zone: string, allow_critical: boolean }} quiet
 * @param {number} from
 * @param {number} to
 * @returns {Stretch[]}
 */
export function occurrences(quiet, from, to) {
	const [h1, m1] = clock(quiet.starts);
	const [h2, m2] = clock(quiet.ends);
	const over = h2 * 60 + m2 <= h1 * 60 + m1 ? 1 : 0;
	/** @type {Stretch[]} */
	const found = [];
	// The day before may reach into the range.
	for (let at = from - DAY; at < to + DAY; at += DAY) {
		const [year, month, day] = local(at, quiet.time_zone);
		const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay() || 7;
		if (!quiet.days.includes(weekday)) continue;
		const start = instant(year, month, day, h1, m1, quiet.time_zone);
		const end = instant(year, month, day + over, h2, m2, quiet.time_zone);
		if (end <= from || start >= to || found.some((one) => one.from === start)) continue;
		found.push({
			id: `${quiet.quiet_hours_id} ${start}`,
			kind: quiet.kind === 'maintenance' ? 'maintenance' : 'quiet',
			label: quiet.name,
			from: start,
			to: end,
			critical: quiet.allow_critical
		});
	}
	return found;
}

/**
 * The parts of stretches that lie in one day, in percent of the day, in lanes that do not overlap.
 * @param {Stretch[]} stretches
 * @param {number} start
 * @param {number} end
 */
export function ofDay(stretches, start, end) {
	const parts = stretches
		.filter((one) => one.to > start && one.from < end)
		.sort((a, b) => a.from - b.from)
		.map((one) => ({
			...one,
			left: (Math.max(0, one.from - start) / (end - start)) * 100,
			right: ((Math.min(end, one.to) - start) / (end - start)) * 100,
			lane: 0
		}));
	/** @type {number[]} */
	const lanes = [];
	for (const part of parts) {
		let lane = lanes.findIndex((until) => until <= part.left);
		if (lane === -1) lane = lanes.length;
		lanes[lane] = part.right;
		part.lane = lane;
	}
	return { parts, lanes: Math.max(1, lanes.length) };
}

/** Hours and minutes of a time as in `22:00:00`. @param {string} time */
function clock(time) {
	const [hours, minutes] = time.split(':').map(Number);
	return [hours, minutes];
}

/** Year, month and day of an instant by the clock of a zone. @param {number} at @param {string} zone */
function local(at, zone) {
	const parts = new Intl.DateTimeFormat('en-CA', {
		timeZone: known(zone),
		year: 'numeric',
		month: '2-digit',
		day: '2-digit'
	}).format(at);
	return parts.split('-').map(Number);
}

/** The instant at which a zone's clock shows this. */
function instant(
	/** @type {number} */ year,
	/** @type {number} */ month,
	/** @type {number} */ day,
	/** @type {number} */ hours,
	/** @type {number} */ minutes,
	/** @type {string} */ zone
) {
	const wanted = Date.UTC(year, month - 1, day, hours, minutes);
	// Twice, because the first guess may lie on the other side of a change of the clock.
	let at = wanted - offset(wanted, zone);
	at = wanted - offset(at, zone);
	return at;
}

/** How far a zone's clock is ahead of UTC. @param {number} at @param {string} zone */
function offset(at, zone) {
	const parts = Object.fromEntries(
		new Intl.DateTimeFormat('en-GB', {
			timeZone: known(zone),
			hourCycle: 'h23',
			year: 'numeric',
			month: 'numeric',
			day: 'numeric',
			hour: 'numeric',
			minute: 'numeric',
			second: 'numeric'
		})
			.formatToParts(at)
			.map(({ type, value }) => [type, Number(value)])
	);
	const shown = Date.UTC(
		parts.year,
		parts.month - 1,
		parts.day,
		parts.hour,
		parts.minute,
		parts.second
	);
	return shown - Math.floor(at / 1000) * 1000;
}

/** @type {Map<string, string>} */
const zones = new Map();

/** The zone, or UTC where this browser does not know it. @param {string} zone */
function known(zone) {
	let found = zones.get(zone);
	if (!found) {
		try {
			new Intl.DateTimeFormat('en', { timeZone: zone });
			found = zone;
		} catch {
			found = 'UTC';
		}
		zones.set(zone, found);
	}
	return found;
}

export const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** Days in words. @param {number[]} days 1 for Monday to 7 for Sunday. */
export function daysLabel(days) {
	const sorted = [...days].sort((a, b) => a - b);
	const key = sorted.join('');
	if (key === '1234567') return 'every day';
	if (key === '12345') return 'Monday to Friday';
	if (key === '67') return 'Saturday and Sunday';
	return sorted.map((day) => WEEKDAYS[day - 1]).join(', ');
}
