@echo off
rem Windows: a double click starts the daemon and opens its page. The first time it sets everything up, which takes some minutes.
cd /d "%~dp0"
where py >nul 2>nul
if errorlevel 1 (python run.py studio --start-daemon) else (py -3 run.py studio --start-daemon)
if errorlevel 1 pause
