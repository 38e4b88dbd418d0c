//! Files with content, in the middle of a plan.

use super::{Over, World};
use crate::image::lite::LiteError;
use crate::image::lite::edit::Content;
use crate::image::lite::look::{Kind, Look, split};
use crate::image::lite::step::Step;

impl<L: Look + ?Sized> World<'_, L> {
    /// What a file contains; none if nothing has the name, or the plan makes what has it.
    ///
    /// # Errors
    /// As reading it.
    pub fn content(&self, path: &str) -> Result<Option<Vec<u8>>, LiteError> {
        let file = self.seen(path)?.is_some_and(|seen| seen.kind == Kind::File);
        match self.base(path).filter(|_| file) {
            Some(base) => {
                let bytes = self.look.content(&base).map_err(LiteError::at(path))?;
                Ok(Some(bytes))
            }
            None => Ok(None),
        }
    }

    /// Puts a file in a place where nothing is, with the further attributes of another one.
    ///
    /// # Errors
    /// As looking.
    pub fn put_content(
        &mut self,
        path: &str,
        file: Content,
        like: Option<String>,
    ) -> Result<(), LiteError> {
        self.mkdirs(split(path).0)?;
        self.put(path, Over::File)?;
        let path = path.to_owned();
        self.steps.push(Step::Content { path, file, like });
        Ok(())
    }

    /// Removes a file that was put in.
    ///
    /// # Errors
    /// As looking.
    pub fn withdraw(&mut self, path: &str) -> Result<(), LiteError> {
        let Some(ino) = self.seen(path)?.and_then(|seen| seen.ino) else {
            return Ok(());
        };
        self.put(path, Over::Gone)?;
        let path = path.to_owned();
        self.steps.push(Step::Withdraw { path, ino });
        Ok(())
    }
}
