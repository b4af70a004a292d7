# Files of the root file system.
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/files.py"
