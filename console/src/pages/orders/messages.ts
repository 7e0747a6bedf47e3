export default { zh: { title: '指令' }, en: { title: 'Orders' } }
