/** Declarations to begin with. */
export const EXAMPLES = {
  cells: {
    name: 'energy.use',
    version: 1,
    period: 3600,
    keys: ['region', 'industry'],
    measures: [
      { name: 'consumption', form: 'sum', unit: 'kW.h', decimals: 1 },
      { name: 'meters', form: 'count', unit: '{meter}' },
    ],
    leaving: [{ tier: '*', keys: ['region', 'industry'], measures: ['consumption', 'meters'], lengths: { region: 4 } }],
    least_contributors: 3,
  },
  record: { name: 'audit.finding', version: 1, up_to: '', title: '' },
} as const
