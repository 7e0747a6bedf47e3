export default { zh: { title: '上报' }, en: { title: 'Reports' } }
