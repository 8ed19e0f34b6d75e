// Before the first paint: the theme that was chosen here.
try {
  const theme = localStorage.getItem('farebox-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the system's theme
}
